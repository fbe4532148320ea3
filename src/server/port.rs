//! Where a port is listened on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address other than loopback on which somebody listens on this port, if there is one.
pub(super) fn open_address(port: u16) -> Option<IpAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let all = tables.iter().flat_map(|table| listening(table, port)).collect::<Vec<_>>();
    all.into_iter().find(|address| !address.to_canonical().is_loopback())
}

/// Addresses of the listening sockets on a port, from a table of proc(5): columns number, local address, remote address
/// and state, where `0A` is listening. Addresses are 32-bit words in the byte order of the machine, in hexadecimal.
fn listening(table: &str, port: u16) -> impl Iterator<Item = IpAddr> {
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace().skip(1);
        let (address, at) = columns.next()?.split_once(':')?;
        if u16::from_str_radix(at, 16) != Ok(port) || columns.nth(1)? != "0A" {
            return None;
        }
        let word = |index: usize| {
            let digits = address.get(8 * index..8 * (index + 1))?;
            u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
        };
        if address.len() == 8 {
            return Some(Ipv4Addr::from(word(0)?).into());
        }
        let words = [word(0)?, word(1)?, word(2)?, word(3)?];
        Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
    })
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
