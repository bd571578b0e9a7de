//! Descriptors for the fuzz target of the checks in `descriptor.rs`: good ones in memory of our own, damaged as the input says.
//! Numbers become any number; a pointer becomes null, misaligned, or one to something else of its type, because what a wild
//! pointer does nobody can check.

use jackfield_api::abi::{ABI_MAJOR, ABI_MINOR, ClassDesc, MAGIC, PluginDesc};

use super::descriptor::{MAX_CLASSES, MAX_TEXT_BYTES, read_classes};

const CLASSES: usize = 4;
/// Words of the largest table, and of the descriptors.
const TABLE_WORDS: usize = 7;
const CLASS_WORDS: usize = size_of::<ClassDesc>() / WORD;
const PLUGIN_WORDS: usize = size_of::<PluginDesc>() / WORD;
const WORD: usize = size_of::<u64>();
/// Words that are pointers, of a plugin and of a class.
const PLUGIN_CLASSES: usize = 4;
const CLASS_TEXTS: [usize; 2] = [1, 3];
const CLASS_TABLES: [usize; 4] = [7, 8, 9, 10];
/// Bytes of one instruction of the input: what, which word, how, and a number.
const STEP_BYTES: usize = 11;

/// Everything that a descriptor points to.
struct Image {
    plugin: [u64; PLUGIN_WORDS],
    list: Vec<u64>,
    classes: [[u64; CLASS_WORDS]; CLASSES],
    tables: [[u64; TABLE_WORDS]; 2],
    text: Vec<u8>,
}

/// Any descriptor is refused or read, and what is read is what was promised.
pub(crate) fn native_entry(data: &[u8]) {
    let mut image = Image::good();
    for step in data.chunks_exact(STEP_BYTES) {
        let number = step[3..]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        image.damage(step[0], usize::from(step[1]), step[2], number);
    }
    let whole = data.len() < STEP_BYTES;
    // SAFETY: all pointers are null, misaligned, or point to objects of `image` that are as large as the type they are read
    // as, and `image` outlives the call; functions are not called by the checks.
    let read = unsafe { read_classes(image.plugin.as_ptr().cast::<PluginDesc>()) };
    match read {
        Ok(classes) => {
            assert!(!classes.is_empty() && classes.len() <= MAX_CLASSES as usize);
            let long = |text: &String| text.is_empty() || text.len() > MAX_TEXT_BYTES;
            assert!(
                !classes
                    .iter()
                    .any(|(name, (version, _))| long(name) || long(version))
            );
        }
        Err(reason) => assert!(!reason.is_empty() && !whole, "refused undamaged: {reason}"),
    }
}

fn low(size: usize, rest: u64) -> u64 {
    size as u64 | rest << 32
}

impl Image {
    fn good() -> Box<Self> {
        let text: Vec<u8> = (0..2 * MAX_TEXT_BYTES)
            .map(|at| b'a' + u8::try_from(at % 26).expect("a letter"))
            .collect();
        // Any address but null is a function here, nobody calls it.
        let table = [low(TABLE_WORDS * WORD, 0), 8, 8, 8, 8, 8, 8];
        let mut image = Box::new(Self {
            plugin: [0; PLUGIN_WORDS],
            list: vec![0; MAX_CLASSES as usize],
            classes: [[0; CLASS_WORDS]; CLASSES],
            tables: [table; 2],
            text,
        });
        let batch = u64::from(jackfield_batch::MAJOR);
        image.plugin[0] = MAGIC;
        image.plugin[1] =
            u64::from(ABI_MAJOR) | u64::from(ABI_MINOR) << 16 | (size_of::<PluginDesc>() as u64) << 32;
        image.plugin[3] = batch | batch << 16 | (CLASSES as u64) << 32;
        image.plugin[PLUGIN_CLASSES] = address(image.list.as_ptr());
        let table = address(&raw const image.tables[0]);
        let text = address(image.text.as_ptr());
        for number in 0..CLASSES {
            let class = &mut image.classes[number];
            let kind = number as u64 % 3 + 1;
            class[0] = low(size_of::<ClassDesc>(), kind);
            for at in CLASS_TEXTS {
                // Every class has a name of its own.
                (class[at], class[at + 1]) = (text + number as u64, 5);
            }
            CLASS_TABLES.iter().for_each(|at| class[*at] = table);
        }
        for at in 0..image.list.len() {
            image.list[at] = address(&raw const image.classes[at % CLASSES]);
        }
        image
    }

    fn damage(&mut self, what: u8, word: usize, how: u8, number: u64) {
        let small = usize::try_from(number % 1_024).expect("small");
        match what % 4 {
            0 if word % PLUGIN_WORDS == PLUGIN_CLASSES => {
                let list = address(self.list.as_ptr());
                self.plugin[PLUGIN_CLASSES] = pointer(how, list, list);
            }
            0 => change(&mut self.plugin[word % PLUGIN_WORDS], how, number),
            1 => {
                let at = small % self.list.len();
                let class = address(&raw const self.classes[word % CLASSES]);
                self.list[at] = pointer(how, self.list[at], class);
            }
            2 => {
                let (number_of, at) = (small % CLASSES, word % CLASS_WORDS);
                let text = address(&raw const self.text[small % MAX_TEXT_BYTES]);
                let table = address(&raw const self.tables[small % 2]);
                let field = &mut self.classes[number_of][at];
                if CLASS_TEXTS.contains(&at) {
                    *field = pointer(how, *field, text);
                } else if CLASS_TABLES.contains(&at) {
                    *field = pointer(how, *field, table);
                } else {
                    change(field, how, number);
                }
            }
            // Texts are UTF-8 only by chance.
            _ if how.is_multiple_of(2) => self.text[small] = how,
            _ => change(&mut self.tables[word % 2][small % TABLE_WORDS], how, number),
        }
    }
}

fn change(field: &mut u64, how: u8, number: u64) {
    match how % 4 {
        0 => *field = number,
        1 => *field ^= number,
        2 => *field ^= 1 << (number % 64),
        _ => *field = field.wrapping_add(number),
    }
}

/// One of the pointers that may stand there.
fn pointer(how: u8, now: u64, other: u64) -> u64 {
    match how % 4 {
        0 => 0,
        // A null one has to stay null: a text may be anywhere else.
        1 if now != 0 => now | 1,
        1 => 0,
        2 => other,
        _ => other + 1,
    }
}

fn address<T>(of: *const T) -> u64 {
    of.expose_provenance() as u64
}
