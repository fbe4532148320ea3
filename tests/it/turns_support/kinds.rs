//! The kinds of made pages: all are upright, and all have figures or leaders where text has letters.

use oorandom::Rand32;

use super::{arabic, drawing::Drawing, font::Face};

/// What is on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Decimals,
    SmallNumbers,
    NamesAndNumbers,
    CustomsCodes,
    ExchangeRates,
    Coordinates,
    Prices,
    Timetable,
    Contents,
    ContentsInTwoColumns,
    Form,
    SideHeads,
    Chart,
    ArabicContents,
    ArabicTable,
    ArabicForm,
}

impl Kind {
    pub const ALL: [Kind; 16] = [
        Kind::Decimals,
        Kind::SmallNumbers,
        Kind::NamesAndNumbers,
        Kind::CustomsCodes,
        Kind::ExchangeRates,
        Kind::Coordinates,
        Kind::Prices,
        Kind::Timetable,
        Kind::Contents,
        Kind::ContentsInTwoColumns,
        Kind::Form,
        Kind::SideHeads,
        Kind::Chart,
        Kind::ArabicContents,
        Kind::ArabicTable,
        Kind::ArabicForm,
    ];

    pub fn is_arabic(self) -> bool {
        matches!(self, Kind::ArabicContents | Kind::ArabicTable | Kind::ArabicForm)
    }
}

/// What stands above the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    None,
    /// A small line, without a rule.
    Small,
    /// The gazette's running head with its rule.
    Gazette,
}

const FRENCH: &str = "arrêté décret ministre agriculture finances approbation nomination modification article \
    relatif fixant portant conditions application produits importation exportation taxes droits homologation \
    normes marocaines délimitation immeuble collectif province commune rurale conseil équivalence diplômes \
    ingénieur architecte médecine autorisation exploitation ferme aquacole société crédit agrément annulation \
    reconnaissance convention accord coopération énergie mines transport logistique équipement eau santé";
const ARABIC: &str = "قرار مرسوم وزير الفلاحة المالية الموافقة تعيين تغيير مادة بتحديد بشأن شروط تطبيق منتجات \
    استيراد تصدير رسوم المصادقة المغربية تحديد عقار جماعي إقليم جماعة مجلس معادلة شهادات مهندس الطب رخصة استغلال \
    شركة اعتماد الغاء اتفاقية تعاون الطاقة المعادن النقل التجهيز الماء الصحة الجريدة الرسمية المملكة";

/// Makes one page.
pub struct Maker<'a> {
    pub random: Rand32,
    pub drawing: Drawing<'a>,
    pub face: &'a Face,
    pub size: f32,
    pub leading: f32,
    /// The first row of the body, and its last, in points from the top.
    pub top: f32,
    pub bottom: f32,
}

const MARGIN: f32 = 48.0;

impl<'a> Maker<'a> {
    fn below(&mut self, end: u32) -> u32 {
        self.random.rand_range(0..end)
    }

    fn is_likely(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn words(&mut self, from: &str, count: u32) -> String {
        let all: Vec<&str> = from.split_whitespace().collect();
        (0..count).map(|_| all[self.below(all.len() as u32) as usize]).collect::<Vec<_>>().join(" ")
    }

    fn french(&mut self, least: u32, most: u32) -> String {
        let count = self.random.rand_range(least..most + 1);
        let words = self.words(FRENCH, count);
        let mut letters = words.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    }

    fn arabic(&mut self, least: u32, most: u32) -> String {
        let count = self.random.rand_range(least..most + 1);
        let words = self.words(ARABIC, count);
        arabic::drawn(&words)
    }

    fn digits(&mut self, count: u32) -> String {
        (0..count).map(|_| char::from_digit(self.below(10), 10).unwrap()).collect()
    }

    fn decimal(&mut self, most: u32, places: u32) -> String {
        format!("{},{}", self.below(most), self.digits(places))
    }

    fn text(&mut self, x: f32, y: f32, text: &str) {
        self.drawing.text(self.face, self.size, x, y, text);
    }

    fn text_to(&mut self, x: f32, y: f32, text: &str) {
        self.drawing.text_to(self.face, self.size, x, y, text);
    }

    fn rows(&self) -> Vec<f32> {
        let count = ((self.bottom - self.top) / self.leading) as usize;
        (1..=count).map(|row| self.top + row as f32 * self.leading).collect()
    }

    fn right(&self) -> f32 {
        self.drawing.width - MARGIN
    }

    /// Draws a head, and moves the top of the body below it.
    pub fn head(&mut self, head: Head, is_arabic: bool) {
        let (right, number) = (self.right(), self.digits(4));
        match (head, is_arabic) {
            (Head::None, _) => self.top = 40.0,
            (Head::Small, _) => {
                self.text(MARGIN, 40.0, &number);
                self.top = 52.0;
            }
            (Head::Gazette, true) => {
                let name = arabic::drawn("الجريدة الرسمية");
                self.text_to(right, 58.0, &number);
                self.text(self.drawing.width / 2.0 - 40.0, 58.0, &name);
                self.drawing.line((MARGIN, 66.0), (right, 66.0), 0.8);
                self.top = 80.0;
            }
            (Head::Gazette, false) => {
                self.text(MARGIN, 58.0, &number);
                self.text(self.drawing.width / 2.0 - 50.0, 58.0, "BULLETIN OFFICIEL");
                let issue = format!("N° {} - 12-6-2025", self.digits(4));
                self.text_to(right, 58.0, &issue);
                self.drawing.line((MARGIN, 66.0), (right, 66.0), 0.8);
                self.top = 80.0;
            }
        }
    }

    /// Draws the body.
    pub fn body(&mut self, kind: Kind) {
        match kind {
            Kind::Decimals => {
                let (columns, places) = (self.random.rand_range(4..10), self.random.rand_range(1..5));
                self.table(columns, 0, |maker| maker.decimal(1000, places));
            }
            Kind::SmallNumbers => {
                let columns = self.random.rand_range(8..16);
                self.table(columns, 0, |maker| maker.below(100).to_string());
            }
            Kind::NamesAndNumbers => {
                let columns = self.random.rand_range(3..9);
                self.table(columns, 2, |maker| maker.below(1000).to_string());
            }
            Kind::CustomsCodes => {
                self.table(4, 0, |maker| match maker.below(3) {
                    0 => maker.decimal(60, 1),
                    _ => format!("{}.{}.{}.{}", maker.digits(4), maker.digits(2), maker.digits(2), maker.digits(2)),
                });
            }
            Kind::ExchangeRates => {
                let columns = self.random.rand_range(2..5);
                self.table(columns, 1, |maker| maker.decimal(20, 4));
            }
            Kind::Coordinates => {
                self.table(4, 0, |maker| match maker.below(5) {
                    0 => format!("B{}", maker.below(90)),
                    _ => format!("{} {},{}", maker.below(700), maker.digits(3), maker.digits(2)),
                });
            }
            Kind::Prices => self.table(2, 5, |maker| format!("{} DH", maker.decimal(4000, 2))),
            Kind::Timetable => {
                let columns = self.random.rand_range(5..10);
                self.table(columns, 0, |maker| format!("{:02}:{}0", maker.below(24), maker.below(6)));
            }
            Kind::Contents => self.contents(MARGIN, self.right(), false),
            Kind::ContentsInTwoColumns => {
                let middle = self.drawing.width / 2.0;
                self.contents(MARGIN, middle - 8.0, false);
                self.contents(middle + 8.0, self.right(), false);
            }
            Kind::Form => self.form(false),
            Kind::SideHeads => self.side_heads(),
            Kind::Chart => self.chart(),
            Kind::ArabicContents => self.contents(MARGIN, self.right(), true),
            Kind::ArabicTable => {
                let columns = self.random.rand_range(3..9);
                self.arabic_table(columns);
            }
            Kind::ArabicForm => self.form(true),
        }
    }

    /// A table of figures, with up to `names` words at the beginning of a row, with or without rules.
    fn table(&mut self, columns: u32, names: u32, cell: impl Fn(&mut Self) -> String) {
        let left = if names > 0 { MARGIN + 60.0 + 30.0 * names as f32 } else { MARGIN };
        let (right, is_ruled) = (self.right(), self.is_likely(40));
        let step = (right - left) / columns as f32;
        for y in self.rows() {
            if names > 0 {
                let name = self.french(1, names);
                self.text(MARGIN, y, &name);
            }
            for column in 1..=columns {
                let text = cell(self);
                self.text_to(left + step * column as f32 - 3.0, y, &text);
            }
            if is_ruled {
                let below = y + self.leading * 0.25;
                self.drawing.line((MARGIN, below), (right, below), 0.5);
            }
        }
        if is_ruled {
            for column in 0..=columns {
                let x = left + step * column as f32;
                self.drawing.line((x, self.top), (x, self.bottom), 0.5);
            }
        }
    }

    fn arabic_table(&mut self, columns: u32) {
        let (names_end, right) = (self.right() - 110.0, self.right());
        let step = (names_end - MARGIN) / columns as f32;
        for y in self.rows() {
            let name = self.arabic(1, 3);
            self.text_to(right, y, &name);
            for column in 1..=columns {
                let number = self.decimal(1000, 2);
                self.text_to(MARGIN + step * column as f32, y, &number);
            }
        }
    }

    /// Titles, dot leaders, page numbers.
    fn contents(&mut self, left: f32, right: f32, is_arabic: bool) {
        for y in self.rows() {
            let number = (1000 + self.below(2000)).to_string();
            let number_width = 2.4 * self.size;
            let most = ((right - left) / self.size / 5.0) as u32;
            let few = most.clamp(1, 5);
            let title = if is_arabic { self.arabic(1, few) } else { self.french(1, few) };
            let room = right - left - number_width - self.size * (1.0 + self.face.width(&title));
            let leaders = ".".repeat((room / self.size / self.face.width(".")).max(0.0) as usize);
            if is_arabic {
                self.text_to(right, y, &title);
                self.text(left, y, &number);
                self.text(left + number_width, y, &leaders);
            } else {
                self.text(left, y, &title);
                self.text_to(right - number_width, y, &leaders);
                self.text_to(right, y, &number);
            }
        }
    }

    /// Labels with dotted lines, rules and boxes.
    fn form(&mut self, is_arabic: bool) {
        let right = self.right();
        for y in self.rows().into_iter().step_by(2) {
            let label = if is_arabic { self.arabic(1, 2) } else { self.french(1, 2) };
            let width = self.size * (self.face.width(&label) + 1.0);
            let (from, to) = if is_arabic { (MARGIN, right - width) } else { (MARGIN + width, right) };
            if is_arabic {
                self.text_to(right, y, &label)
            } else {
                self.text(MARGIN, y, &label)
            };
            match self.below(3) {
                0 => {
                    let dots = ".".repeat(((to - from) / self.size / self.face.width(".")).max(0.0) as usize);
                    self.text(from, y, &dots);
                }
                1 => self.drawing.line((from, y), (to, y), 0.5),
                _ => {
                    let side = self.size * 1.2;
                    for place in 0..((to - from) / side) as usize {
                        let (x, top) = (from + side * place as f32, y - self.size);
                        self.drawing.line((x, top), (x, y), 0.5);
                        self.drawing.line((x, y), (x + side, y), 0.5);
                    }
                }
            }
        }
    }

    /// Heads of columns that run upwards, over figures.
    fn side_heads(&mut self) {
        let columns = self.random.rand_range(8..16);
        let step = (self.right() - MARGIN) / columns as f32;
        let heads = self.top + 100.0;
        for column in 0..columns {
            let text = self.french(1, 2);
            let x = MARGIN + step * (column as f32 + 0.6);
            self.drawing.text_upwards(self.face, self.size, x, heads - 4.0, &text);
        }
        self.drawing.line((MARGIN, heads), (self.right(), heads), 0.6);
        self.top = heads;
        self.table(columns, 0, |maker| maker.below(1000).to_string());
    }

    /// Bars over an axis of figures, with the title of the other axis on its side, and a legend.
    fn chart(&mut self) {
        let (left, right, middle) = (MARGIN + 50.0, self.right(), self.top.midpoint(self.bottom));
        for (top, bottom) in [(self.top + 10.0, middle - 60.0), (middle + 10.0, self.bottom - 60.0)] {
            let title = self.french(3, 6);
            self.drawing.text_upwards(self.face, self.size, MARGIN, bottom, &title);
            self.drawing.line((left, top), (left, bottom), 0.8);
            self.drawing.line((left, bottom), (right, bottom), 0.8);
            let ticks = ((bottom - top) / self.leading) as u32;
            for tick in 0..ticks {
                let y = bottom - self.leading * tick as f32;
                let value = (tick * 250).to_string();
                self.text_to(left - 4.0, y, &value);
            }
            let bars = self.random.rand_range(10..24);
            let step = (right - left) / bars as f32;
            for bar in 0..bars {
                let (height, grey) = (self.random.rand_float() * (bottom - top), self.random.rand_float() * 0.8);
                self.drawing.bar(left + step * (bar as f32 + 0.2), bottom - height, step * 0.6, height, grey);
                let year = (1990 + bar).to_string();
                let (x, y) = (left + step * bar as f32, bottom + self.size * (1.2 + 1.2 * (bar % 2) as f32));
                self.text(x, y, &year);
            }
            let legend = self.french(2, 5);
            self.text(left, bottom + 4.0 * self.size, &legend);
        }
    }
}
