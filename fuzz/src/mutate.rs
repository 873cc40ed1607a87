//! Inputs made of others: cut, joined, repeated, spoiled and interspersed with words, as a seed has it.

use sendwright_histories::dice::Dice;

/// Longest input that is made, bytes.
const LONGEST: usize = 64 << 10;
/// Bytes that readers stumble over.
const ODD: &[u8] = b"\0\t\n\r \"'%&+,-./0123456789:;<=>@AZ[\\]_az{|}~\x7f\x80\xbf\xc3\xe2\xf0\xff";
/// Characters that are more than they look.
const STRANGE: [&str; 8] =
    ["\u{202e}", "\u{200b}", "\u{feff}", "\u{0130}", "\u{00df}", "e\u{301}", "\u{2028}", "\u{1f600}"];

/// A new input out of those there are; none of them is needed to begin with.
pub fn mutate(dice: &mut Dice, pool: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = one(dice, pool).to_vec();
    for _ in 0..=dice.below(5) {
        once(dice, &mut input, pool, words);
    }
    input.truncate(LONGEST);
    input
}

fn once(dice: &mut Dice, input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str]) {
    let (from, to) = span(dice, input.len());
    match dice.below(11) {
        0 => drop(input.drain(from..to)),
        1 => insert(input, from, &odd(dice)),
        2 => {
            if let Some(byte) = input.get_mut(from) {
                *byte ^= 1 << dice.below(8);
            }
        }
        3 => {
            let piece = input[from..to].repeat(1 + dice.below(3) as usize);
            insert(input, from, &piece);
        }
        4 => {
            let other = one(dice, pool);
            let (begin, end) = span(dice, other.len());
            let piece = other[begin..end].to_vec();
            input.splice(from..to, piece);
        }
        5 | 6 => {
            let word = dice.one(words).unwrap_or_default();
            insert(input, from, word.as_bytes());
        }
        7 => {
            let word = dice.one(words).unwrap_or_default().as_bytes().to_vec();
            input.splice(from..to, word);
        }
        8 => insert(input, from, dice.one(&STRANGE).unwrap_or_default().as_bytes()),
        9 => {
            // Much of the same: what a bound is for.
            let piece = if to - from > 64 { odd(dice) } else { input[from..to].to_vec() };
            insert(input, from, &piece.repeat(1 << dice.below(11)));
        }
        _ => {
            let piece: Vec<u8> = input.drain(from..to).collect();
            let place = dice.below(input.len() as u64 + 1) as usize;
            insert(input, place, &piece);
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= LONGEST {
        input.splice(at..at, piece.iter().copied());
    }
}

fn odd(dice: &mut Dice) -> Vec<u8> {
    (0..=dice.below(4)).filter_map(|_| dice.one(ODD)).collect()
}

fn one<'a>(dice: &mut Dice, pool: &'a [Vec<u8>]) -> &'a [u8] {
    pool.get(dice.below(pool.len() as u64) as usize).map_or(&[], Vec::as_slice)
}

/// A stretch of so many bytes; short ones mostly.
fn span(dice: &mut Dice, length: usize) -> (usize, usize) {
    let from = dice.below(length as u64 + 1) as usize;
    let most = if dice.comes(20) { length - from } else { (length - from).min(8) };
    (from, from + dice.below(most as u64 + 1) as usize)
}
