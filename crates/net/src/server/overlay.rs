//! Walks over an earlier state: over the present one, with what leads back over it.

use std::{iter::Peekable, ops::ControlFlow};

use zvm_core::{AccountInfo, Address, B256, DbError, StateDiff, U256, keccak256};

use super::held::View;

/// A diff from the present state to an earlier one, in the order of walks.
pub(super) struct Overlay {
    diff: StateDiff,
    accounts: Vec<(B256, Address)>,
}

impl Overlay {
    pub(super) fn new(diff: StateDiff) -> Self {
        let hashed = |address: &Address| (keccak256(address), *address);
        let mut accounts: Vec<_> = diff.accounts.keys().map(hashed).collect();
        accounts.sort_unstable();
        Self { diff, accounts }
    }

    pub(super) fn diff(&self) -> &StateDiff {
        &self.diff
    }
}

/// What a walk finds: hash, name and content of an account or a slot. `Break` ends it.
pub(super) type Visit<'v, K, V> = dyn FnMut(B256, K, V) -> Result<ControlFlow<()>, DbError> + 'v;

impl View<'_> {
    /// [`for_each_account`](zvm_core::StateBackend::for_each_account) of the state.
    pub(super) fn for_each_account(
        &self,
        from: B256,
        visit: &mut Visit<'_, Address, AccountInfo>,
    ) -> Result<(), DbError> {
        let Some(overlay) = self.overlay else {
            return self.backend.for_each_account(from, visit);
        };
        let then = |address: &Address| overlay.diff.accounts.get(address).and_then(|c| c.new);
        let changed = overlay.accounts.iter().filter(|(hash, _)| *hash >= from);
        let changed = changed.map(|(hash, address)| (*hash, *address, then(address)));
        merge(changed, visit, |visit| self.backend.for_each_account(from, visit))
    }

    /// [`for_each_slot`](zvm_core::StateBackend::for_each_slot) of the state.
    pub(super) fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut Visit<'_, U256, U256>,
    ) -> Result<(), DbError> {
        let change = self.overlay.and_then(|overlay| overlay.diff.accounts.get(&address));
        let Some(change) = change else { return self.backend.for_each_slot(address, from, visit) };
        if change.new.is_none() {
            return Ok(());
        }
        let hashed = |slot: &U256| keccak256(slot.to_be_bytes::<32>());
        let slots = change.storage.iter();
        let slots = slots.map(|(slot, word)| (hashed(slot), *slot, word.new));
        let mut changed: Vec<_> = slots.filter(|(hash, ..)| *hash >= from).collect();
        changed.sort_unstable();
        let changed = changed
            .into_iter()
            .map(|(hash, slot, word)| (hash, slot, (!word.is_zero()).then_some(word)));
        merge(changed, visit, |visit| self.backend.for_each_slot(address, from, visit))
    }
}

/// Visits what `walk` finds, with `changed` in the place of what has the same hash; `None` is not
/// there.
fn merge<K, V>(
    changed: impl Iterator<Item = (B256, K, Option<V>)>,
    visit: &mut Visit<'_, K, V>,
    walk: impl FnOnce(&mut Visit<'_, K, V>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let mut changed = changed.peekable();
    let mut ends = false;
    walk(&mut |hash, key, value| {
        let flow = visit_before(&mut changed, Some(hash), visit)?;
        let flow = match flow {
            ControlFlow::Break(()) => flow,
            ControlFlow::Continue(()) => match changed.next_if(|(next, ..)| *next == hash) {
                Some((_, key, Some(value))) => visit(hash, key, value)?,
                Some((_, _, None)) => flow,
                None => visit(hash, key, value)?,
            },
        };
        ends = flow.is_break();
        Ok(flow)
    })?;
    if !ends {
        let _ = visit_before(&mut changed, None, visit)?;
    }
    Ok(())
}

/// Visits those of `changed` whose hash is below `end`, if there is an end.
fn visit_before<K, V>(
    changed: &mut Peekable<impl Iterator<Item = (B256, K, Option<V>)>>,
    end: Option<B256>,
    visit: &mut Visit<'_, K, V>,
) -> Result<ControlFlow<()>, DbError> {
    while let Some((hash, key, value)) = changed.next_if(|(h, ..)| end.is_none_or(|end| *h < end)) {
        if let Some(value) = value
            && visit(hash, key, value)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
