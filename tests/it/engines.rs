//! The two engines of most tests, and role patterns of them.

use bulletin_ocr::model::{Engine, EngineName, EngineNames, EngineSet, RankId, Role, RoleNames, RolePattern, Stage};

pub const CHANDRA: Engine = Engine::FIRST;
pub const DEEPSEEK: Engine = Engine::at(1).unwrap();
pub const THIRD: Engine = Engine::at(2).unwrap();
pub const ALL: [Engine; 2] = [CHANDRA, DEEPSEEK];
pub const BOTH: EngineSet = EngineSet::only(CHANDRA).with(DEEPSEEK);

/// The stage on DeepSeek-OCR.
pub const SECOND_STAGE: Stage = Stage::On(DEEPSEEK);

/// The name of one of the two.
pub fn name(engine: Engine) -> EngineName {
    EngineNames::default()[engine].clone()
}

/// Chandra, DeepSeek-OCR and a third engine, `surya-2`.
pub fn three() -> EngineNames {
    EngineNames::new(["chandra", "deepseek", "surya-2"].map(|name| name.parse().unwrap()).into()).unwrap()
}

/// A role pattern of these three.
pub fn roles(text: &str) -> RolePattern {
    text.parse::<RoleNames>().unwrap().resolve(&three()).unwrap()
}

/// One role.
pub fn role(text: &str) -> Role {
    roles(text).of(RankId(0), 1)
}

/// A set of engines: `chandra+deepseek`; empty without a name.
pub fn set(text: &str) -> EngineSet {
    let engine = |name: &str| three().engine(name).unwrap();
    text.split('+').filter(|name| !name.is_empty()).map(engine).collect()
}
