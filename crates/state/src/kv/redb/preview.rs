//! A file that can be written to without being changed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Shows a file to redb and keeps what redb writes in memory.
///
/// Opening a redb file for writing may repair it. On a preview the repair can be judged first, and
/// a file that is damaged or not ours is left as it was found.
#[derive(Debug)]
pub(super) struct Preview(Mutex<Overlay>);

#[derive(Debug)]
struct Overlay {
    file: File,
    /// How far the file itself is still visible. Bytes between here and `len` read as zero.
    file_len: u64,
    len: u64,
    /// Written blocks by number; they hide the file.
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

const BLOCK: usize = 4096;

impl Preview {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self(Mutex::new(Overlay { file, file_len: len, len, blocks: BTreeMap::new() })))
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        // Every change of an overlay is complete in itself, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl redb::StorageBackend for Preview {
    fn len(&self) -> io::Result<u64> {
        Ok(self.overlay().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.overlay().read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut overlay = self.overlay();
        if len < overlay.len {
            let kept = len.div_ceil(BLOCK as u64);
            overlay.blocks.retain(|&number, _| number < kept);
            let within = (len % BLOCK as u64) as usize;
            if within > 0
                && let Some(last) = overlay.blocks.get_mut(&(kept - 1))
            {
                last[within..].fill(0);
            }
        }
        overlay.file_len = overlay.file_len.min(len);
        overlay.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut overlay = self.overlay();
        overlay.check(offset, data.len())?;
        for (number, within, range) in pieces(offset, data.len()) {
            if !overlay.blocks.contains_key(&number) {
                let block = overlay.file_block(number)?;
                overlay.blocks.insert(number, block);
            }
            if let Some(block) = overlay.blocks.get_mut(&number) {
                block[within..within + range.len()].copy_from_slice(&data[range]);
            }
        }
        Ok(())
    }
}

impl Overlay {
    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn read(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(offset, out.len())?;
        self.read_file(offset, out)?;
        for (number, within, range) in pieces(offset, out.len()) {
            if let Some(block) = self.blocks.get(&number) {
                out[range.clone()].copy_from_slice(&block[within..within + range.len()]);
            }
        }
        Ok(())
    }

    /// The block as the file has it.
    fn file_block(&mut self, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut block = Box::new([0; BLOCK]);
        self.read_file(number * BLOCK as u64, &mut block[..])?;
        Ok(block)
    }

    /// Reads the file where it is visible and zeros beyond.
    fn read_file(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let visible = self.file_len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (visible, beyond) = out.split_at_mut(visible);
        beyond.fill(0);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(visible)
    }
}

/// The parts of `offset..offset + len` by block: its number, where in it the part begins, and
/// which bytes of the whole it is.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % BLOCK as u64) as usize;
        let size = (BLOCK - within).min(len - done);
        let piece = (at / BLOCK as u64, within, done..done + size);
        done += size;
        (size > 0).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use redb::StorageBackend;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..16_000_u64, collection::vec(1..=u8::MAX, 0..9_000))
                .prop_map(|(offset, data)| Step::Write(offset, data)),
            (0..20_000_u64).prop_map(Step::SetLen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_preview_reads_like_a_file_and_leaves_the_file_alone(
            content in collection::vec(1..=u8::MAX, 0..12_000),
            steps in collection::vec(step(), 0..12),
        ) {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), &content)?;
            let preview = Preview::new(File::open(file.path())?)?;
            let mut model = content.clone();
            for step in steps {
                match step {
                    Step::Write(offset, data) => {
                        let start = offset as usize;
                        let fits = start + data.len() <= model.len();
                        prop_assert_eq!(preview.write(offset, &data).is_ok(), fits);
                        if fits {
                            model[start..start + data.len()].copy_from_slice(&data);
                        }
                    }
                    Step::SetLen(len) => {
                        preview.set_len(len)?;
                        model.resize(len as usize, 0);
                    }
                }
                let mut seen = vec![0xee; model.len()];
                preview.read(0, &mut seen)?;
                prop_assert!(seen == model);
            }
            prop_assert!(std::fs::read(file.path())? == content);
        }
    }
}
