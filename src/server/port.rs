//! On which addresses a port is listened on.

use std::net::IpAddr;

use crate::sys::listening_addresses;

/// An address other than loopback on which a process of this node listens on the port, if there is one.
pub(super) fn open_address(port: u16) -> Option<IpAddr> {
    listening_addresses(port).into_iter().find(|address| !address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_others_reach_is_told_from_one_on_loopback() {
        for (host, open) in [("127.0.0.1", None), ("0.0.0.0", Some(IpAddr::from([0, 0, 0, 0])))] {
            let listener = TcpListener::bind((host, 0)).unwrap();
            assert_eq!(open_address(listener.local_addr().unwrap().port()), open, "{host}");
        }
        if let Ok(listener) = TcpListener::bind(("::1", 0)) {
            assert_eq!(open_address(listener.local_addr().unwrap().port()), None);
        }
    }
}
