//! The faces of a row's number: an integer, a version-8 uuid that packs kind and number, or a string (C-5).

/// What a number names; part of the uuid, so that one noun's id is never another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A campaign.
    Campaign = 1,
    /// A contact.
    Contact = 2,
    /// A message.
    Message = 3,
    /// A sending profile.
    Profile = 4,
    /// A webhook endpoint.
    Endpoint = 5,
    /// A delivery of an event to an endpoint.
    Delivery = 6,
    /// An event.
    Event = 7,
    /// A key.
    Key = 8,
    /// A run.
    Run = 9,
    /// A segment.
    Segment = 10,
    /// A template.
    Template = 11,
    /// A step.
    Step = 12,
    /// An enrolment.
    Enrolment = 13,
    /// An account.
    Account = 14,
    /// An import.
    Import = 15,
    /// An inbound message.
    Inbound = 30,
}

/// The uuid of a number: RFC 9562 version 8, the kind in the first byte, the number in the last eight.
pub fn uuid(kind: Kind, id: i64) -> String {
    let n = id as u64;
    // 62 bits carry the number behind the variant's two: ids are allocated from 1 and never reach them.
    format!(
        "{:02x}000000-0000-8000-{:04x}-{:012x}",
        kind as u8,
        0x8000 | (n >> 48) & 0x3fff,
        n & 0xffff_ffff_ffff
    )
}

/// Reads any face of an id: digits, or the uuid of this kind. `None` is answered like a missing row.
pub fn parse(kind: Kind, face: &str) -> Option<i64> {
    if !face.is_empty() && face.len() <= 19 && face.bytes().all(|b| b.is_ascii_digit()) {
        return face.parse().ok().filter(|n| *n > 0);
    }
    let face = face.to_ascii_lowercase();
    let id = face.get(19..23).and_then(|high| i64::from_str_radix(high, 16).ok())? & 0x3fff;
    let low = face.get(24..36).and_then(|low| i64::from_str_radix(low, 16).ok())?;
    let id = id << 48 | low;
    (id > 0 && uuid(kind, id) == face).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_its_uuid_and_no_other_kind_takes_it() {
        for id in [1, 42, 1 << 40, (1 << 61) + 7] {
            let face = uuid(Kind::Campaign, id);
            assert_eq!(face.len(), 36);
            assert_eq!(face.as_bytes()[14], b'8');
            assert_eq!(parse(Kind::Campaign, &face), Some(id));
            assert_eq!(parse(Kind::Campaign, &face.to_uppercase()), Some(id));
            assert_eq!(parse(Kind::Contact, &face), None);
            assert_eq!(parse(Kind::Campaign, &id.to_string()), Some(id));
        }
    }

    #[test]
    fn nothing_else_is_an_id() {
        for face in
            ["", "0", "-1", "abc", "99999999999999999999", "{01000000-0000-8000-8000-000000000001}", "ü1"]
        {
            assert_eq!(parse(Kind::Campaign, face), None, "{face}");
        }
    }
}
