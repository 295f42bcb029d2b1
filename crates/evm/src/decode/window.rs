//! Where the words of the stack are while a block is decoded.
//!
//! `DUP`, `SWAP`, `POP` and pushes change only what is known here; words move when something needs
//! them in their place.

use crate::interpreter::word::Limbs;

/// A word: its location, counted in words from the stack pointer, or its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operand {
    At(i16),
    Constant(Limbs),
}

/// The upper part of the stack. Words below it are where they belong.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// From the bottom up.
    words: Vec<Operand>,
    /// Where the first of them belongs.
    low: i16,
}

impl Window {
    /// Where the next word pushed belongs.
    pub(super) fn height(&self) -> i16 {
        self.low + self.words.len() as i16
    }

    /// Makes the first `n` words from the top known.
    fn reach(&mut self, n: usize) {
        while self.words.len() < n {
            self.low -= 1;
            self.words.insert(0, Operand::At(self.low));
        }
    }

    /// The `n`-th word from the top; 1 is the top.
    pub(super) fn peek(&mut self, n: usize) -> Operand {
        self.reach(n);
        self.words[self.words.len() - n]
    }

    pub(super) fn push(&mut self, operand: Operand) {
        self.words.push(operand);
    }

    pub(super) fn pop(&mut self, n: usize) {
        self.reach(n);
        self.words.truncate(self.words.len() - n);
    }

    pub(super) fn swap(&mut self, n: usize) {
        self.reach(n + 1);
        let top = self.words.len() - 1;
        self.words.swap(top, top - n);
    }

    /// Whether a word is at `location`.
    pub(super) fn is_live(&self, location: i16) -> bool {
        self.uses(location) > 0
    }

    fn uses(&self, location: i16) -> usize {
        if location < self.low {
            return 1;
        }
        self.words.iter().filter(|word| **word == Operand::At(location)).count()
    }

    /// A location without a word: where the next word pushed belongs, if that is one.
    pub(super) fn free(&self) -> i16 {
        self.free_run(1)
    }

    /// The first of `n` locations in a row without a word.
    pub(super) fn free_run(&self, n: i16) -> i16 {
        let mut first = self.height();
        while let Some(taken) = (first..first + n).rev().find(|at| self.is_live(*at)) {
            first = taken + 1;
        }
        first
    }

    /// Location of the lowest of the `n` words on top, if they are one behind the other and nothing
    /// else is there.
    pub(super) fn in_a_row(&mut self, n: usize) -> Option<i16> {
        let Operand::At(first) = self.peek(n) else { return None };
        let words = &self.words[self.words.len() - n..];
        let is_so = words
            .iter()
            .zip(first..)
            .all(|(word, at)| *word == Operand::At(at) && self.uses(at) == 1 && at >= self.low);
        is_so.then_some(first)
    }

    /// Every word that is not where it belongs: that place, and the word.
    pub(super) fn displaced(&self) -> impl Iterator<Item = (i16, Operand)> + '_ {
        (self.low..)
            .zip(self.words.iter().copied())
            .filter(|(place, word)| *word != Operand::At(*place))
    }

    /// The highest location of a word above the stack, or the height.
    pub(super) fn highest(&self) -> i16 {
        let at = |word: &Operand| match word {
            Operand::At(at) => *at,
            Operand::Constant(_) => i16::MIN,
        };
        self.words.iter().map(at).max().unwrap_or(i16::MIN).max(self.height())
    }

    /// How many words are known.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// After all words were moved to where they belong.
    pub(super) fn settle(&mut self) {
        self.low = self.height();
        self.words.clear();
    }

    /// After the stack pointer was moved to the height of a settled window.
    pub(super) fn rebase(&mut self) {
        *self = Self::default();
    }
}

/// A copy between locations, or an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Move { to: i16, from: i16 },
    Exchange(i16, i16),
}

/// Orders moves that happen at once, each to another location, so that one after the other has the
/// same effect.
pub(super) fn sequence(mut moves: Vec<(i16, i16)>) -> Vec<Step> {
    let mut steps = Vec::new();
    while !moves.is_empty() {
        let is_source = |to: i16| moves.iter().any(|(_, from)| *from == to);
        if let Some(i) = moves.iter().position(|(to, _)| !is_source(*to)) {
            let (to, from) = moves.swap_remove(i);
            steps.push(Step::Move { to, from });
            continue;
        }
        // Every target is a source yet: cycles only.
        let Some((to, from)) = moves.pop() else { break };
        steps.push(Step::Exchange(to, from));
        for (_, source) in &mut moves {
            if *source == to {
                *source = from;
            } else if *source == from {
                *source = to;
            }
        }
        moves.retain(|(to, from)| to != from);
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_after_the_other_has_the_effect_of_all_at_once(
            sources in prop::collection::vec(0i16..12, 1..12),
        ) {
            let before: Vec<i16> = (0..12).collect();
            let moves: Vec<_> = (0i16..)
                .zip(sources.iter().copied())
                .filter(|(to, from)| to != from)
                .collect();
            let mut expected = before.clone();
            for (to, from) in &moves {
                expected[*to as usize] = before[*from as usize];
            }
            let mut words = before;
            for step in sequence(moves) {
                match step {
                    Step::Move { to, from } => words[to as usize] = words[from as usize],
                    Step::Exchange(a, b) => words.swap(a as usize, b as usize),
                }
            }
            prop_assert_eq!(words, expected);
        }
    }
}
