//! The view in sled: whatever becomes of its folder, the definitions are the same.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

type Meddle<'a> = Box<dyn Fn() + 'a>;

fn open_real(path: &Path) -> Catalog {
    Catalog::new(CommandLog::open(&DataDir::open(path).unwrap()).unwrap())
}

fn run_and_close(path: &Path, keys: std::ops::Range<u32>) {
    let mut catalog = open_real(path);
    for n in keys {
        catalog
            .run_through(format!("key {n}=value {n}").as_bytes())
            .unwrap();
        if n % 3 == 0 {
            catalog
                .run_through(format!("key {}", n / 3).as_bytes())
                .unwrap();
        }
    }
    catalog.log.close().unwrap();
}

fn view_of(path: &Path) -> PathBuf {
    path.join("definitions/view")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn each_file(dir: &Path, f: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            each_file(&entry.path(), f);
        } else {
            f(&entry.path());
        }
    }
}

#[test]
fn an_intact_view_is_used() {
    let folder = tempfile::tempdir().unwrap();
    run_and_close(folder.path(), 0..20);
    let catalog = open_real(folder.path());
    assert_eq!(catalog.opened.tail, []);
    assert_eq!((catalog.opened.base_index, catalog.last), (27, 27));
    assert_eq!(catalog.opened.base.len(), catalog.state.len());
}

#[test]
fn whatever_happens_to_it_the_definitions_are_the_same() {
    let (folder, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path();
    run_and_close(path, 0..10);
    copy(path, older.path());
    run_and_close(path, 10..30);
    let expected = open_real(path).state;
    let view = view_of(path);
    let meddlings: [(&str, Meddle<'_>); 6] = [
        ("deleted", Box::new(|| fs::remove_dir_all(&view).unwrap())),
        (
            "behind",
            Box::new(|| {
                fs::remove_dir_all(&view).unwrap();
                copy(&view_of(older.path()), &view);
            }),
        ),
        (
            "zeroed",
            Box::new(|| {
                each_file(&view, &mut |file| {
                    fs::write(file, vec![0; fs::metadata(file).unwrap().len() as usize]).unwrap();
                })
            }),
        ),
        (
            "cut",
            Box::new(|| {
                each_file(&view, &mut |file| {
                    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
                    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
                })
            }),
        ),
        (
            "flipped",
            Box::new(|| {
                each_file(&view, &mut |file| {
                    let mut bytes = fs::read(file).unwrap();
                    bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x20);
                    fs::write(file, bytes).unwrap();
                })
            }),
        ),
        (
            "an entry missing",
            Box::new(|| {
                let db = ::sled::open(&view).unwrap();
                db.remove(b"\x01key 25").unwrap().unwrap();
                db.flush().unwrap();
            }),
        ),
    ];
    for (what, meddle) in meddlings {
        meddle();
        let catalog = open_real(path);
        assert_eq!(catalog.state, expected, "{what}");
        assert_eq!(catalog.opened.damaged, Vec::<String>::new(), "{what}");
        catalog.log.close().unwrap();
        drop(catalog);
        assert_eq!(open_real(path).opened.tail, [], "rebuilt after: {what}");
    }
    // Ahead: the view of the longer log beside the older log.
    let expected = open_real(older.path()).state;
    fs::remove_dir_all(view_of(older.path())).unwrap();
    copy(&view, &view_of(older.path()));
    assert_eq!(open_real(older.path()).state, expected, "ahead");
}

#[test]
fn the_view_of_another_storage_is_not_used() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run_and_close(one.path(), 0..5);
    let mut catalog = open_real(other.path());
    for n in 0..9 {
        catalog
            .run_through(format!("mine {n}=x").as_bytes())
            .unwrap();
    }
    catalog.log.close().unwrap();
    let expected = catalog.state.clone();
    drop(catalog);
    fs::remove_dir_all(view_of(other.path())).unwrap();
    copy(&view_of(one.path()), &view_of(other.path()));
    assert_eq!(open_real(other.path()).state, expected);
}
