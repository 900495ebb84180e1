//! placeholder
use crate::options::EchoOptions;
/// x
pub fn serve(_: &EchoOptions) -> Result<(), String> {
    Err(String::new())
}
