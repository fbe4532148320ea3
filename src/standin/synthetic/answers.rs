//! Synthetic answers: plausible words of a gazette, the same for the same image and seed.

use oorandom::Rand64;
use sha2::{Digest, Sha256};

use crate::standin::{
    dialect::{BlockKind, Grammar, PageBlock},
    picture::Picture,
    tokens,
};

/// Lengths of answers: lognormal, in tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnswerLengths {
    /// Median, tokens. Default 900, as in the measurements on the H200 (`docs/facts/h200.md`, "Patterns of a client").
    pub median: f64,
    /// Standard deviation of the logarithm of the length.
    pub sigma: f64,
}

impl Default for AnswerLengths {
    fn default() -> Self {
        AnswerLengths { median: 900.0, sigma: 0.5 }
    }
}

const FRENCH: &[&str] = &[
    "de",
    "de",
    "de",
    "des",
    "le",
    "au",
    "en",
    "par",
    "pour",
    "arrêté",
    "ministre",
    "décret",
    "dahir",
    "article",
    "premier",
    "sont",
    "approuvées",
    "les",
    "dispositions",
    "du",
    "présent",
    "conseil",
    "gouvernement",
    "royaume",
    "loi",
    "relative",
    "à",
    "la",
    "fixant",
    "conditions",
    "et",
    "modalités",
    "application",
    "vu",
    "notamment",
    "son",
    "chef",
    "commune",
    "province",
    "terrain",
    "dit",
    "superficie",
    "hectares",
    "immatriculation",
    "foncière",
    "requête",
    "société",
    "anonyme",
    "capital",
    "dirhams",
    "siège",
    "social",
    "Rabat",
    "Casablanca",
    "Fès",
    "nomination",
    "secrétaire",
    "général",
    "administration",
    "finances",
    "agriculture",
    "eaux",
    "travaux",
    "publics",
    "santé",
    "enseignement",
    "supérieur",
    "équivalence",
    "diplômes",
    "qualification",
    "scientifique",
    "délivrée",
    "université",
    "commission",
    "avis",
    "secteur",
    "publié",
    "officiel",
    "Maroc",
];
const ARABIC: &[&str] = &[
    "قرار",
    "وزير",
    "مرسوم",
    "ظهير",
    "شريف",
    "المادة",
    "الأولى",
    "تطبق",
    "أحكام",
    "هذا",
    "الحكومة",
    "المملكة",
    "القانون",
    "المتعلق",
    "بتحديد",
    "شروط",
    "وكيفيات",
    "تطبيق",
    "بناء",
    "على",
    "ولا",
    "سيما",
    "منه",
    "رئيس",
    "الجماعة",
    "إقليم",
    "المسمى",
    "مساحة",
    "هكتار",
    "التحفيظ",
    "العقاري",
    "مطلب",
    "شركة",
    "المساهمة",
    "رأسمال",
    "درهم",
    "مقرها",
    "الاجتماعي",
    "الرباط",
    "الدار",
    "البيضاء",
    "فاس",
    "تعيين",
    "الكاتب",
    "العام",
    "إدارة",
    "المالية",
    "الفلاحة",
    "المياه",
    "الأشغال",
    "العمومية",
    "الصحة",
    "التعليم",
    "العالي",
    "معادلة",
    "الشهادات",
    "اللجنة",
    "القطاعية",
    "ينشر",
    "بالجريدة",
    "الرسمية",
];

/// The random number generator of one page; depends only on the image's bytes and the seed.
fn generator(image: &[u8], seed: u64) -> Rand64 {
    let mut hash = Sha256::new();
    hash.update(image);
    hash.update(seed.to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (state, _) = digest.split_at(16);
    Rand64::new(state.iter().fold(0, |state, byte| state << 8 | u128::from(*byte)))
}

/// A synthetic answer for an image, with about as many tokens as the length drawn for it.
pub fn answer(grammar: Grammar, picture: &Picture, seed: u64, lengths: AnswerLengths) -> String {
    let mut random = generator(&picture.png, seed);
    let target = (lengths.median * (lengths.sigma * normal(&mut random)).exp()).max(1.0) as u32;
    let arabic = random.rand_range(0..2) == 1;
    let words = if arabic { ARABIC } else { FRENCH };
    let mut paragraphs = Vec::new();
    let mut written = 0;
    // The markup of a block takes about 40 tokens, and a block holds four paragraphs: 10 tokens a paragraph.
    while written < target {
        let paragraph = paragraph(&mut random, words, (target - written).min(120));
        written += tokens::count(&paragraph) + 10;
        paragraphs.push(paragraph);
    }
    grammar.write(&lay_out(&paragraphs, arabic), picture.size)
}

fn paragraph(random: &mut Rand64, words: &[&str], target: u32) -> String {
    let mut text = format!("{}. ", random.rand_range(1..1000));
    let mut written = tokens::count(&text);
    while written < target {
        let word = words[random.rand_range(0..words.len() as u64) as usize];
        written += tokens::count(word).max(1);
        text.push_str(word);
        text.push(' ');
    }
    text.truncate(text.trim_end().len());
    text.push('.');
    text
}

/// Arranges paragraphs in two columns below a running head, the first column of the language first.
fn lay_out(paragraphs: &[String], arabic: bool) -> Vec<PageBlock> {
    let head = if arabic { "الجريدة الرسمية" } else { "BULLETIN OFFICIEL" };
    let mut blocks = vec![PageBlock {
        kind: BlockKind::PageHeader,
        bounds: [0.08, 0.04, 0.92, 0.07],
        paragraphs: vec![head.into()],
    }];
    let chunks: Vec<&[String]> = paragraphs.chunks(4).collect();
    let rows = chunks.len().div_ceil(2).max(1);
    for (index, chunk) in chunks.into_iter().enumerate() {
        let first_column = index < rows;
        let left = if first_column == arabic { 0.51 } else { 0.08 };
        let height = 0.85 / rows as f64;
        let top = 0.1 + (index % rows) as f64 * height;
        blocks.push(PageBlock {
            kind: BlockKind::Text,
            bounds: [left, top, left + 0.41, top + height * 0.95],
            paragraphs: chunk.to_vec(),
        });
    }
    blocks
}

/// A normally distributed random number (Box-Muller method).
fn normal(random: &mut Rand64) -> f64 {
    let radius = (-2.0 * (1.0 - random.rand_float()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.rand_float()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::PixelSize, standin::dialect::Dialect};

    fn answer(image: &[u8], seed: u64, lengths: AnswerLengths) -> String {
        let grammar = Grammar { dialect: Dialect::Divs, box_scale: None, front_matter: false };
        let picture = Picture { png: image.to_vec(), size: PixelSize { width: 800, height: 1100 }, dpi: None };
        super::answer(grammar, &picture, seed, lengths)
    }

    #[test]
    fn the_same_image_and_seed_give_the_same_answer() {
        let lengths = AnswerLengths::default();
        let first = answer(b"page", 7, lengths);
        assert_eq!(first, answer(b"page", 7, lengths));
        assert_ne!(first, answer(b"page", 8, lengths));
        assert_ne!(first, answer(b"other page", 7, lengths));
    }

    #[test]
    fn lengths_have_the_median_asked_for() {
        let lengths = AnswerLengths { median: 600.0, sigma: 0.5 };
        let mut counts: Vec<u32> =
            (0..201_u32).map(|page| tokens::count(&answer(&page.to_le_bytes(), 0, lengths))).collect();
        counts.sort_unstable();
        assert!((500..=700).contains(&counts[100]), "median {}", counts[100]);
        assert!(counts[180] > counts[20] * 2, "a spread of lengths");
    }
}
