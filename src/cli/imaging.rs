//! Options for page images, shared by several subcommands.

use std::path::PathBuf;

use crate::model::{When, configuration::Configuration};

/// How pages are rendered and shown to the engines.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Page images")]
pub struct ImagingArguments {
    /// Show the two columns of a page one by one [default: the profile's; auto with Tesseract]
    #[arg(long, value_name = "never|auto|always")]
    columns: Option<When>,
    /// Clean bad scans: even light, no specks, more contrast [default: the profile's; auto with Tesseract]
    #[arg(long, value_name = "never|auto|always")]
    clean: Option<When>,
    /// Remove skew of more than 0.3 degrees [default: the profile's; true with Tesseract]
    #[arg(long, value_name = "BOOL")]
    straighten: Option<bool>,
    /// Rotate pages that lie on their side or upside down [default: the profile's]
    #[arg(long, value_name = "BOOL")]
    upright: Option<bool>,
    /// Send pages without ink to the engines too; otherwise they count as blank
    #[arg(long)]
    read_blank: bool,
    /// libpdfium.so of build 8149
    #[arg(long, value_name = "FILE", env = "PDFIUM_LIB")]
    pdfium: Option<PathBuf>,
}

impl ImagingArguments {
    /// Applies the options that were given to the configuration.
    pub fn apply(&self, configuration: &mut Configuration) {
        let imaging = &mut configuration.imaging;
        imaging.columns = self.columns.or(imaging.columns);
        imaging.clean = self.clean.or(imaging.clean);
        imaging.straighten = self.straighten.or(imaging.straighten);
        imaging.upright = self.upright.or(imaging.upright);
        imaging.skip_blank &= !self.read_blank;
        if let Some(pdfium) = &self.pdfium {
            configuration.pdfium = Some(pdfium.clone());
        }
    }
}
