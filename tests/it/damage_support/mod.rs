//! Small PDFs with one fault each.

use std::fmt::Write;

/// Writes PDFs object by object.
#[derive(Default)]
pub struct Pdf {
    objects: Vec<Vec<u8>>,
}

impl Pdf {
    /// A document with pages, given as entries of their dictionaries. Further objects begin with number
    /// `FIRST_FREE + pages`.
    pub fn new(pages: &[&str]) -> Self {
        let numbers: String = (0..pages.len()).fold(String::new(), |mut kids, page| {
            let _ = write!(kids, "{} 0 R ", page + 4);
            kids
        });
        let mut pdf = Pdf::default();
        pdf.add("<< /Type /Catalog /Pages 2 0 R >>");
        pdf.add(&format!("<< /Type /Pages /Kids [ {numbers}] /Count {} >>", pages.len()));
        pdf.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
        for entries in pages {
            pdf.add(&format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {entries} >>"));
        }
        pdf
    }

    /// Replaces text in an object, numbered from 1.
    pub fn replace(mut self, object: usize, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.objects[object - 1].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        self.objects[object - 1] = text.replace(from, to).into_bytes();
        self
    }

    fn add(&mut self, object: &str) {
        self.objects.push(object.as_bytes().to_vec());
    }

    /// Adds an object.
    pub fn object(mut self, object: &str) -> Self {
        self.add(object);
        self
    }

    /// Adds a stream. `entries` are those of its dictionary without the length.
    pub fn stream(mut self, entries: &str, data: &[u8]) -> Self {
        let mut object = format!("<< {entries} /Length {} >>\nstream\n", data.len()).into_bytes();
        object.extend_from_slice(data);
        object.extend_from_slice(b"\nendstream");
        self.objects.push(object);
        self
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n".to_vec();
        let mut table = String::new();
        for (index, object) in self.objects.iter().enumerate() {
            let _ = writeln!(table, "{:010} 00000 n ", file.len());
            file.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
            file.extend_from_slice(object);
            file.extend_from_slice(b"\nendobj\n");
        }
        let (at, size) = (file.len(), self.objects.len() + 1);
        let end = format!(
            "xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n"
        );
        file.extend_from_slice(end.as_bytes());
        file
    }
}
