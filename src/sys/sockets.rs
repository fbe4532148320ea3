//! TCP sockets of this machine, from `/proc/net`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The addresses on which processes listen on this port. A missing table counts as empty, for example without IPv6.
pub fn listening_addresses(port: u16) -> Vec<IpAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listening(table, port)).collect()
}

/// The addresses of the listening sockets on a port, from a table of proc(5). Its columns are number, local address,
/// remote address and state; `0A` is the state of a listening socket. Addresses are 32-bit words in the byte order of
/// the machine, in hexadecimal.
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
