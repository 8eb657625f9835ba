//! Some records as they are elsewhere, laid over a store: what a running commit hides, and what a
//! transaction has staged.

use std::collections::BTreeMap;
use std::iter::{Peekable, from_fn};

use super::contract::{Store, StoreError};
use super::key::{Key, KeyRange};
use crate::limit;

/// Values that replace those below, or nothing where there is none.
pub(crate) type Overlay = BTreeMap<Key, Option<Vec<u8>>>;

/// Every row of `range` in `store`, read a page at a time.
pub(crate) fn rows<'a>(
    store: &'a dyn Store,
    range: &KeyRange,
) -> impl Iterator<Item = Result<(Key, Vec<u8>), StoreError>> + use<'a> {
    let mut next = Some(range.clone());
    let mut page = Vec::new().into_iter();
    from_fn(move || {
        loop {
            if let Some(row) = page.next() {
                return Some(Ok(row));
            }
            match store.scan(&next.take()?, limit::SCAN_ROWS) {
                Ok(found) => {
                    page = found.rows.into_iter();
                    next = found.next;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// The rows of `range`: those of `below`, which are in order, except where `over` says otherwise.
pub(crate) fn overlaid<'a, E: 'a>(
    range: &KeyRange,
    below: impl Iterator<Item = Result<(Key, Vec<u8>), E>> + 'a,
    over: &'a Overlay,
) -> impl Iterator<Item = Result<(Key, Vec<u8>), E>> + 'a {
    let mut over = range
        .bounds()
        .map(|bounds| over.range(bounds))
        .into_iter()
        .flatten()
        .peekable();
    let mut below = below.peekable();
    from_fn(move || {
        loop {
            let (from_over, hides) = which(&mut below, &mut over);
            if !from_over {
                return below.next();
            }
            if hides {
                below.next();
            }
            // A deletion has no row.
            if let (key, Some(value)) = over.next()? {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    })
}

/// Whether the next row is one of `over`, and whether it hides the next of `below`.
fn which<'a, E>(
    below: &mut Peekable<impl Iterator<Item = Result<(Key, Vec<u8>), E>>>,
    over: &mut Peekable<impl Iterator<Item = (&'a Key, &'a Option<Vec<u8>>)>>,
) -> (bool, bool) {
    match (below.peek(), over.peek()) {
        (Some(Ok((below, _))), Some((over, _))) => (*over <= below, *over == below),
        (None, _) => (true, false),
        (Some(_), _) => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Space;

    fn map() -> impl Strategy<Value = BTreeMap<u8, Option<u8>>> {
        proptest::collection::btree_map(0..24_u8, any::<Option<u8>>(), 0..24)
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_if_it_had_been_written(below in map(), over in map()) {
            let agency = "gb.school".parse().unwrap();
            let key = |rest: &u8| Key::of(&agency, Space::Case, &[*rest]);
            let mut expected = below.clone();
            expected.extend(over.clone());
            let expected: Vec<_> =
                expected.iter().filter_map(|(k, v)| v.map(|v| (key(k), vec![v]))).collect();

            let rows = below.iter().filter_map(|(k, v)| v.map(|v| Ok::<_, ()>((key(k), vec![v]))));
            let over: Overlay = over.iter().map(|(k, v)| (key(k), v.map(|v| vec![v]))).collect();
            let range = KeyRange::of(&agency, Space::Case, &[]);
            let found: Vec<_> = overlaid(&range, rows, &over).map(Result::unwrap).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
