//! Figures as text.

use super::figures::{Figures, ReadFigures};

const MB: f64 = 1e6;

/// One column for each contender.
pub fn print_table(all: &[Figures]) {
    let Some(figures) = all.first() else { return };
    println!("\n{} accounts", figures.accounts);
    let row = |name: &str, decimals: usize, value: &dyn Fn(&Figures) -> Option<f64>| {
        print!("{name:<40}");
        for figures in all {
            match value(figures) {
                Some(value) => print!(" {value:>11.decimals$}"),
                None => print!(" {:>11}", "-"),
            }
        }
        println!();
    };
    print!("{:<40}", "");
    for figures in all {
        print!(" {:>11}", figures.contender);
    }
    println!();
    let per_block = |figures: &Figures, whole: f64| whole / figures.blocks.measured as f64;
    row("blocks measured", 0, &|f| Some(f.blocks.measured as f64));
    row("leaves per block", 0, &|f| Some(per_block(f, f.blocks.leaves as f64)));
    row("CPU µs per leaf, all threads", 2, &|f| Some(f.blocks.cpu_us_per_leaf()));
    row("CPU ms per block, all threads", 1, &|f| Some(f.blocks.cpu_ms_per_block()));
    row("    of that the committing thread", 1, &|f| Some(per_block(f, f.blocks.main_cpu_s * 1e3)));
    row("wall ms per block, p50", 1, &|f| Some(f.blocks.wall_ms(50)));
    row("wall ms per block, p95", 1, &|f| Some(f.blocks.wall_ms(95)));
    let stored = |figures: &Figures, value: f64| figures.reads.is_some().then_some(value);
    row("MB written per block", 1, &|f| stored(f, per_block(f, f.blocks.written as f64 / MB)));
    row("MB of memory at most", 0, &|f| Some(f.blocks.peak_rss as f64 / MB));
    row("MB on disk", 0, &|f| stored(f, f.blocks.disk as f64 / MB));
    let read =
        |figures: &Figures, value: fn(&ReadFigures) -> f64| figures.reads.as_ref().map(value);
    row("µs to read an account, p50, cold", 1, &|f| read(f, |r| r.cold_account_us));
    row("µs to read a slot, p50, cold", 1, &|f| read(f, |r| r.cold_slot_us));
    row("KB from disk per cold read", 1, &|f| read(f, |r| r.cold_bytes / 1e3));
    row("µs to read an account, p50, warm", 1, &|f| read(f, |r| r.warm_account_us));
    row("µs to read a slot, p50, warm", 1, &|f| read(f, |r| r.warm_slot_us));
    row("s to make the state", 1, &|f| f.seed.as_ref().map(|seed| seed.wall_s));
    row("    CPU s", 1, &|f| f.seed.as_ref().map(|seed| seed.cpu_s));
    row("    MB of memory at most", 0, &|f| f.seed.as_ref().map(|seed| seed.peak_rss as f64 / MB));
}

/// CPU time per leaf by size, and how it grows beside the logarithm of the size.
pub fn print_series(all: &[Vec<Figures>]) {
    let [first, _, ..] = all else { return };
    println!("\nCPU µs per leaf, and its growth over that of log(accounts)");
    print!("{:>10}", "accounts");
    for figures in first {
        print!(" {:>18}", figures.contender);
    }
    println!();
    for size in all {
        let Some(accounts) = size.first().map(|figures| figures.accounts) else { continue };
        print!("{accounts:>10}");
        for (figures, start) in size.iter().zip(first) {
            let us = figures.blocks.cpu_us_per_leaf();
            let growth = us / start.blocks.cpu_us_per_leaf();
            let log = (accounts as f64).ln() / (start.accounts as f64).ln();
            print!(" {us:>10.2} ({:>5.2})", growth / log);
        }
        println!();
    }
}
