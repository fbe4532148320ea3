//! Follows the operators of a page to the images, forms and fonts that it draws with.

use std::collections::{BTreeSet, HashSet};

use hayro_syntax::{
    content::UntypedIter,
    object::{Array, Dict, MaybeRef, Name, Null, Object, ObjectIdentifier, Stream},
    page::{Page, Resources},
};

use super::{font, image, missing::Missing, stream};

/// How many levels of forms inside forms are followed.
const MOST_NESTED: u32 = 8;

/// What was found so far.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) missing: BTreeSet<Missing>,
    /// Objects that were examined.
    seen: HashSet<ObjectIdentifier>,
}

/// How text is drawn at some operator.
#[derive(Clone, Default)]
struct TextState<'a> {
    font: Option<Dict<'a>>,
    is_invisible: bool,
}

/// The text rendering modes that leave no ink (ISO 32000-1, table 106).
const INVISIBLE: [i32; 2] = [3, 7];

impl Walk {
    /// Examines the content of a page.
    pub(super) fn page(&mut self, page: &Page<'_>) {
        let mut operators = Vec::new();
        for part in contents(page) {
            match part.as_ref().and_then(stream::operators) {
                Some(part) => {
                    operators.extend_from_slice(&part);
                    operators.push(b'\n');
                }
                None => drop(self.missing.insert(Missing::Operators)),
            }
        }
        self.operators(&operators, page.resources(), 0);
    }

    /// Examines a form: a piece of content with its own resources.
    pub(super) fn form(&mut self, form: &Stream<'_>, outer: &Resources<'_>, nested: u32) {
        if nested >= MOST_NESTED || !self.seen.insert(form.obj_id()) {
            return;
        }
        let Some(operators) = stream::operators(form) else {
            self.missing.insert(Missing::Operators);
            return;
        };
        match form.dict().get::<Dict<'_>>("Resources") {
            Some(own) => self.operators(&operators, &Resources::new(own), nested + 1),
            None => self.operators(&operators, outer, nested + 1),
        }
    }

    fn operators(&mut self, operators: &[u8], resources: &Resources<'_>, nested: u32) {
        let (mut state, mut saved) = (TextState::default(), Vec::new());
        let mut instructions = UntypedIter::new(operators);
        while let Some(instruction) = instructions.next() {
            let name = || instruction.operands().find_map(|operand| operand.clone().into_name());
            let operator: &[u8] = instruction.operator;
            match operator {
                b"q" => saved.push(state.clone()),
                b"Q" => state = saved.pop().unwrap_or_default(),
                b"Tf" => state.font = name().and_then(|name| self.font(&name, resources)),
                b"Tr" => {
                    let mode = instruction.operands().find_map(|operand| operand.clone().into_i32());
                    state.is_invisible = mode.is_some_and(|mode| INVISIBLE.contains(&mode));
                }
                b"Tj" | b"TJ" | b"'" | b"\"" if !state.is_invisible => {
                    // A font is examined at its first text.
                    let used = state.font.take();
                    self.missing.extend(used.as_ref().and_then(font::missing));
                }
                b"Do" => {
                    if let Some(name) = name() {
                        self.object(&name, resources, nested);
                    }
                }
                _ => {}
            }
        }
    }

    /// A font that was not examined yet. One that is not in the resources at all is replaced by PDFium.
    fn font<'a>(&mut self, name: &Name<'_>, resources: &Resources<'a>) -> Option<Dict<'a>> {
        if resources.fonts.get_ref(name.as_ref()).is_some() && resources.get_font(name).is_none() {
            self.missing.insert(Missing::Object(name.as_str().into()));
        }
        resources.get_font(name)
    }

    fn object(&mut self, name: &Name<'_>, resources: &Resources<'_>, nested: u32) {
        let reference = resources.x_objects.get_ref(name.as_ref());
        // `hayro-syntax` does not find an object inside itself.
        if reference.is_some_and(|reference| self.seen.contains(&reference.into())) {
            return;
        }
        match resources.get_x_object(name) {
            None => drop(self.missing.insert(Missing::Object(name.as_str().into()))),
            Some(object) if image::is_image(&object) => {
                if self.seen.insert(object.obj_id()) {
                    self.missing.extend(image::missing(&object));
                }
            }
            Some(form) => self.form(&form, resources, nested),
        }
    }
}

/// The streams of a page's content; `None` in place of one that is not in the file.
fn contents<'a>(page: &Page<'a>) -> Vec<Option<Stream<'a>>> {
    let xref = page.xref();
    const KEY: &str = "Contents";
    let page = page.raw();
    let resolved = |part: MaybeRef<Object<'a>>| match part {
        MaybeRef::Ref(reference) => xref.get::<Stream<'a>>(reference.into()),
        MaybeRef::NotRef(object) => object.into_stream(),
    };
    if let Some(stream) = page.get::<Stream<'a>>(KEY) {
        vec![Some(stream)]
    } else if let Some(parts) = page.get::<Array<'a>>(KEY) {
        parts.raw_iter().map(resolved).collect()
    } else if page.get_ref(KEY).is_none() && (!page.contains_key(KEY) || page.get::<Null>(KEY).is_some()) {
        Vec::new()
    } else {
        vec![None]
    }
}

/// The fonts in these resources, and in those of the forms among them.
pub(super) fn fonts<'a>(resources: &Resources<'a>) -> Vec<Dict<'a>> {
    let listed = |fonts: &Dict<'a>| -> Vec<Dict<'a>> { fonts.keys().filter_map(|name| fonts.get(&*name)).collect() };
    let mut found = listed(&resources.fonts);
    for name in resources.x_objects.keys() {
        let form = resources.x_objects.get::<Stream<'a>>(&*name);
        let own = form.and_then(|form| form.dict().get::<Dict<'a>>("Resources"));
        found.extend(own.iter().filter_map(|own| own.get::<Dict<'a>>("Font")).flat_map(|fonts| listed(&fonts)));
    }
    found
}
