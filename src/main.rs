//! The binary `bocr`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulletin_ocr::cli::main().into()
}
