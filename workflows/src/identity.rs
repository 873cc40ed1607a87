//! Whose row somebody is who comes by one address and may have another: a lead comes by e-mail, a user by their number
//! (docs/decisions/0012). Two people are never made one, and a living contact never loses an address.

/// A row that has one of the two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The row.
    pub id: i64,
    /// It is deleted.
    pub deleted: bool,
    /// It has an address of the kind that the other is looked up by.
    pub has_other: bool,
}

/// What becomes of somebody who comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Nobody has that address.
    New,
    /// They are there, by the address they come by.
    There(i64),
    /// They are there by their other address alone, and are found by this one too from now on.
    Joined(i64),
    /// They were deleted, and come back.
    Back(i64),
}

/// Whose row it is, and whose address the other is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The row.
    pub row: Row,
    /// The other address becomes the row's own, or is already.
    pub takes_other: bool,
    /// The deleted row that has to give up the address they come by.
    pub frees: Option<i64>,
    /// The deleted row that has to give up the other address.
    pub frees_other: Option<i64>,
}

/// Finds the place of somebody. `by` has the address they come by, `other` their other address, where they have one
/// (`None` otherwise, or where nobody has it); `wants` says whether they have one at all.
pub fn place(by: Option<Holder>, other: Option<Holder>, wants: bool) -> Place {
    let plain = |row, takes_other| Place { row, takes_other, frees: None, frees_other: None };
    let other = other.filter(|_| wants);
    // Known by the other address alone.
    let alone = other.filter(|other| !other.has_other && by.is_none_or(|by| by.id != other.id));
    // The one who has it is the same, or deleted, or nobody.
    let is_free = |row: i64| other.is_none_or(|other| other.deleted || other.id == row);
    let frees_other = |row: Option<i64>| other.filter(|o| o.deleted && Some(o.id) != row).map(|o| o.id);
    match by {
        Some(by) if !by.deleted => {
            let takes = wants && is_free(by.id) && (!by.has_other || other.is_some_and(|o| o.id == by.id));
            let frees_other = frees_other(Some(by.id)).filter(|_| takes);
            Place { frees_other, ..plain(Row::There(by.id), takes) }
        }
        Some(by) => match alone.filter(|other| !other.deleted) {
            Some(other) => Place { frees: Some(by.id), ..plain(Row::Joined(other.id), true) },
            None => {
                let takes = wants && is_free(by.id);
                Place { frees_other: frees_other(Some(by.id)), ..plain(Row::Back(by.id), takes) }
            }
        },
        None => match alone {
            Some(other) if other.deleted => plain(Row::Back(other.id), true),
            Some(other) => plain(Row::Joined(other.id), true),
            None => {
                let takes = wants && other.is_none_or(|other| other.deleted);
                Place { frees_other: frees_other(None), ..plain(Row::New, takes) }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, deleted: bool, has_other: bool) -> Option<Holder> {
        Some(Holder { id, deleted, has_other })
    }

    fn found(row: Row, takes_other: bool) -> Place {
        Place { row, takes_other, frees: None, frees_other: None }
    }

    #[test]
    fn who_is_nobody_yet_gets_a_row_and_both_addresses() {
        assert_eq!(place(None, None, true), found(Row::New, true));
        assert_eq!(place(None, None, false), found(Row::New, false));
    }

    #[test]
    fn who_is_known_by_the_other_address_alone_is_joined() {
        assert_eq!(place(None, row(2, false, false), true), found(Row::Joined(2), true));
        assert_eq!(place(None, row(2, true, false), true), found(Row::Back(2), true));
        // Their own deleted row gives up its address for the living one.
        let joined = Place { frees: Some(1), ..found(Row::Joined(2), true) };
        assert_eq!(place(row(1, true, false), row(2, false, false), true), joined);
    }

    #[test]
    fn two_living_people_stay_two() {
        assert_eq!(place(None, row(2, false, true), true), found(Row::New, false));
        assert_eq!(place(row(1, false, false), row(2, false, false), true), found(Row::There(1), false));
        assert_eq!(place(row(1, true, false), row(2, false, true), true), found(Row::Back(1), false));
    }

    #[test]
    fn a_living_contact_keeps_the_other_address_that_it_has() {
        assert_eq!(place(row(1, false, true), None, true), found(Row::There(1), false));
        assert_eq!(place(row(1, false, true), row(1, false, true), true), found(Row::There(1), true));
        assert_eq!(place(row(1, false, false), None, true), found(Row::There(1), true));
    }

    #[test]
    fn a_deleted_row_gives_up_an_address_that_a_living_one_has() {
        let takes = Place { frees_other: Some(2), ..found(Row::There(1), true) };
        assert_eq!(place(row(1, false, false), row(2, true, true), true), takes);
        let back = Place { frees_other: Some(2), ..found(Row::Back(1), true) };
        assert_eq!(place(row(1, true, true), row(2, true, true), true), back);
        let new = Place { frees_other: Some(2), ..found(Row::New, true) };
        assert_eq!(place(None, row(2, true, true), true), new);
        // Whoever has an address of their own takes none from the dead.
        assert_eq!(place(row(1, false, true), row(2, true, true), true), found(Row::There(1), false));
    }

    #[test]
    fn who_comes_back_has_both_their_addresses() {
        assert_eq!(place(row(1, true, true), row(1, true, true), true), found(Row::Back(1), true));
        assert_eq!(place(row(1, true, true), None, true), found(Row::Back(1), true));
    }
}
