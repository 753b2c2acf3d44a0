//! What Reckon takes from the `tokenizers`, `minijinja` and `parquet` crates, as C functions
//! (reckon_text.h). A panic of a crate becomes an error: none crosses the border.

#![feature(alloc_error_hook)] // memory.rs says why

pub mod memory;
pub mod parquet;
pub mod template;
pub mod tokenizer;

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;

/// Receives a result while the call that makes it lasts.
type Sink = extern "C" fn(context: *mut c_void, data: *const c_void, size: usize);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

impl Text {
    /// # Safety
    /// `data` has `size` bytes as long as the call lasts.
    unsafe fn bytes<'a>(&self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        slice::from_raw_parts(self.data, self.size)
    }
    unsafe fn utf8<'a>(&self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()).map_err(|_| "the text is not UTF-8".to_string())
    }
}

/// Runs `body`; an error or a panic is written to `error`.
fn guarded<T>(
    error: Sink,
    context: *mut c_void,
    body: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        if let Some(memory::OverBudget(budget)) = panic.downcast_ref() {
            return Err(format!(
                "it needs more than {} MiB at a time, or {} MiB in all",
                budget.held >> 20,
                budget.total >> 20
            ));
        }
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(format!("the library fails: {text}"))
    });
    match result {
        Ok(value) => Some(value),
        Err(text) => {
            error(context, text.as_ptr().cast(), text.len());
            None
        }
    }
}

/// Panics of the crates are reported by `guarded`, not on standard error.
fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

/// # Safety
/// See reckon_text.h; so for all functions.
#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_new(
    json: Text,
    error: Sink,
    context: *mut c_void,
) -> *mut tokenizer::Tokenizer {
    silence_panics();
    guarded(error, context, || tokenizer::Tokenizer::new(json.bytes()))
        .map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_free(tokenizer: *mut tokenizer::Tokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_vocab_size(tokenizer: *const tokenizer::Tokenizer) -> usize {
    (*tokenizer).vocab_size()
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_prefix(
    tokenizer: *const tokenizer::Tokenizer,
    ids: Sink,
    context: *mut c_void,
) {
    let prefix = (*tokenizer).prefix();
    ids(context, prefix.as_ptr().cast(), prefix.len());
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_id_of(
    tokenizer: *const tokenizer::Tokenizer,
    token: Text,
    id: *mut u32,
) -> bool {
    let found = token.utf8().ok().and_then(|token| (*tokenizer).id_of(token));
    if let Some(found) = found {
        *id = found;
    }
    found.is_some()
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_token(
    tokenizer: *const tokenizer::Tokenizer,
    id: u32,
    special: *mut bool,
    bytes: Sink,
    context: *mut c_void,
) -> bool {
    match catch_unwind(AssertUnwindSafe(|| (*tokenizer).token(id))) {
        Ok(Some(token)) => {
            *special = token.special;
            bytes(context, token.bytes.as_ptr().cast(), token.bytes.len());
            true
        }
        _ => false,
    }
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_encode(
    tokenizer: *const tokenizer::Tokenizer,
    text: Text,
    parse_special: bool,
    beginning: bool,
    ids: Sink,
    ids_context: *mut c_void,
    error: Sink,
    error_context: *mut c_void,
) -> bool {
    let encoded = guarded(error, error_context, || {
        (*tokenizer).encode(text.utf8()?, parse_special, beginning)
    });
    if let Some(encoded) = &encoded {
        ids(ids_context, encoded.as_ptr().cast(), encoded.len());
    }
    encoded.is_some()
}

#[no_mangle]
pub unsafe extern "C" fn reckon_tokenizer_train(
    texts: *const Text,
    num_texts: usize,
    vocab_size: usize,
    json: Sink,
    json_context: *mut c_void,
    error: Sink,
    error_context: *mut c_void,
) -> bool {
    let trained = guarded(error, error_context, || {
        let texts: Result<Vec<&str>, String> = (0..num_texts).map(|i| (*texts.add(i)).utf8()).collect();
        tokenizer::train(&texts?, vocab_size)
    });
    if let Some(trained) = &trained {
        json(json_context, trained.as_ptr().cast(), trained.len());
    }
    trained.is_some()
}

#[no_mangle]
pub unsafe extern "C" fn reckon_template_new(
    source: Text,
    error: Sink,
    context: *mut c_void,
) -> *mut template::Template {
    silence_panics();
    guarded(error, context, || template::Template::new(source.utf8()?))
        .map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

#[no_mangle]
pub unsafe extern "C" fn reckon_template_free(template: *mut template::Template) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

#[no_mangle]
pub unsafe extern "C" fn reckon_template_render(
    template: *const template::Template,
    variables: Text,
    text: Sink,
    text_context: *mut c_void,
    error: Sink,
    error_context: *mut c_void,
) -> bool {
    let rendered = guarded(error, error_context, || (*template).render(variables.utf8()?));
    if let Some(rendered) = &rendered {
        text(text_context, rendered.as_ptr().cast(), rendered.len());
    }
    rendered.is_some()
}

#[no_mangle]
pub unsafe extern "C" fn reckon_parquet_open(
    path: Text,
    error: Sink,
    context: *mut c_void,
) -> *mut parquet::Rows {
    silence_panics();
    guarded(error, context, || parquet::Rows::open(path.utf8()?))
        .map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

#[no_mangle]
pub unsafe extern "C" fn reckon_parquet_new(
    content: Text,
    error: Sink,
    context: *mut c_void,
) -> *mut parquet::Rows {
    silence_panics();
    guarded(error, context, || parquet::Rows::of_content(content.bytes()))
        .map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

#[no_mangle]
pub unsafe extern "C" fn reckon_parquet_free(rows: *mut parquet::Rows) {
    if !rows.is_null() {
        drop(Box::from_raw(rows));
    }
}

#[no_mangle]
pub unsafe extern "C" fn reckon_parquet_next(
    rows: *mut parquet::Rows,
    json: Sink,
    json_context: *mut c_void,
    error: Sink,
    error_context: *mut c_void,
) -> bool {
    match guarded(error, error_context, || (*rows).next()) {
        Some(row) => {
            if let Some(row) = row {
                json(json_context, row.as_ptr().cast(), row.len());
            }
            true
        }
        None => false,
    }
}
