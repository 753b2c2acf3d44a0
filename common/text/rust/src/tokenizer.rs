//! A tokenizer of the `tokenizers` crate as Reckon uses it: texts without truncation, padding and
//! dropout, with special tokens as tokens or as plain text, at the beginning of a text or inside.

use crate::memory::{limited, Budget};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::{
    AddedToken, AddedVocabulary, DecoderWrapper, Model, ModelWrapper, NormalizerWrapper,
    PostProcessorWrapper, PreTokenizer, PreTokenizerWrapper, TokenizerImpl,
};
use tokenizers::{decoders, Decoder};

type Impl = TokenizerImpl<
    ModelWrapper,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// Of untrusted files: ids are below it, so a table by id is small.
const MAX_TOKENS: usize = 1 << 21;
const MAX_ADDED_TOKENS: usize = 1 << 15;

/// Memory that a text of `bytes` may take: pieces with their offsets before and after each rule take
/// some 200 bytes for a byte; a rule that repeats a text takes any number.
fn memory_for(bytes: usize) -> Budget {
    Budget { held: (256 << 20) + 1024 * bytes, total: usize::MAX }
}

/// How a text becomes pieces before the model splits them.
struct Pipeline {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    special: AddedVocabulary, // finds special tokens in a text
    plain: AddedVocabulary,   // takes them for text
}

pub struct Tokenizer {
    inner: Impl,
    beginning: Pipeline,
    inside: Option<Pipeline>, // None: as the beginning
    prefix: Vec<u32>,
    tokens: BTreeMap<u32, String>,
    byte_level: bool,
    byte_fallback: bool,
}

/// A token as it is written to a text.
pub struct Token {
    pub bytes: Vec<u8>,
    pub special: bool,
}

fn object<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut serde_json::Map<String, Value>> {
    value.get_mut(name)?.as_object_mut()
}

/// Removes what a component adds before a text, in the component or a sequence of them.
fn without_prefix(component: &mut Value) {
    let Some(fields) = component.as_object_mut() else { return };
    for list in ["normalizers", "pretokenizers"] {
        if let Some(Value::Array(parts)) = fields.get_mut(list) {
            parts.retain(|part| part["type"] != "Prepend");
            parts.iter_mut().for_each(without_prefix);
        }
    }
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("").to_string();
    if kind == "Metaspace" {
        fields.insert("prepend_scheme".into(), "never".into());
        fields.remove("add_prefix_space");
    }
    if kind == "ByteLevel" && fields.contains_key("add_prefix_space") {
        fields.insert("add_prefix_space".into(), false.into());
    }
    if kind == "Prepend" {
        *component = Value::Null;
    }
}

fn parse_part<T: serde::de::DeserializeOwned>(name: &str, value: &Value) -> Result<Option<T>, String> {
    if value.is_null() {
        return Ok(None);
    }
    serde_json::from_value(value.clone()).map(Some).map_err(|e| format!("{name}: {e}"))
}

fn check_size(root: &Value) -> Result<(), String> {
    let size = |value: &Value| match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    let vocab = size(&root["model"]["vocab"]);
    if vocab > MAX_TOKENS {
        return Err(format!("model.vocab: {vocab} tokens, at most {MAX_TOKENS}"));
    }
    let added = size(&root["added_tokens"]);
    if added > MAX_ADDED_TOKENS {
        return Err(format!("added_tokens: {added}, at most {MAX_ADDED_TOKENS}"));
    }
    Ok(())
}

fn pipeline(
    inner: &Impl,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
) -> Result<Pipeline, String> {
    let by_id: BTreeMap<u32, AddedToken> = inner.get_added_tokens_decoder().into_iter().collect();
    let vocabulary = |as_text: bool| -> Result<AddedVocabulary, String> {
        let mut added = AddedVocabulary::new();
        added.set_encode_special_tokens(as_text);
        added
            .add_tokens(by_id.values().cloned(), inner.get_model(), normalizer.as_ref())
            .map_err(|e| format!("added_tokens: {e}"))?;
        Ok(added)
    };
    let (special, plain) = (vocabulary(false)?, vocabulary(true)?);
    Ok(Pipeline { normalizer, pre_tokenizer, special, plain })
}

impl Tokenizer {
    pub fn new(json: &[u8]) -> Result<Tokenizer, String> {
        let mut root: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        check_size(&root)?;
        // Settings of a call that save_pretrained leaves in the file; dropout is for training.
        if let Some(fields) = root.as_object_mut() {
            fields.remove("truncation");
            fields.remove("padding");
        }
        if let Some(model) = object(&mut root, "model") {
            model.remove("dropout");
        }
        let mut inside = (root["normalizer"].clone(), root["pre_tokenizer"].clone());
        without_prefix(&mut inside.0);
        without_prefix(&mut inside.1);
        let differs = inside.0 != root["normalizer"] || inside.1 != root["pre_tokenizer"];
        let (byte_level, byte_fallback) =
            (has_part(&root["decoder"], "ByteLevel"), has_part(&root["decoder"], "ByteFallback"));

        let inner: Impl = serde_json::from_value(root).map_err(|e| e.to_string())?;
        let tokens: BTreeMap<u32, String> =
            inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        match tokens.last_key_value() {
            None => return Err("model.vocab: no tokens".into()),
            Some((&id, token)) if id as usize >= MAX_TOKENS => {
                return Err(format!("model.vocab: {token:?} has id {id}, ids are below {MAX_TOKENS}"))
            }
            _ => {}
        }
        let beginning =
            pipeline(&inner, inner.get_normalizer().cloned(), inner.get_pre_tokenizer().cloned())?;
        let inside = if differs {
            Some(pipeline(
                &inner,
                parse_part("normalizer", &inside.0)?,
                parse_part("pre_tokenizer", &inside.1)?,
            )?)
        } else {
            None
        };
        let mut tokenizer =
            Tokenizer { inner, beginning, inside, prefix: vec![], tokens, byte_level, byte_fallback };
        tokenizer.prefix = limited(memory_for(1), || tokenizer.find_prefix())?;
        Ok(tokenizer)
    }

    /// The tokens that the post-processor puts before a text.
    fn find_prefix(&self) -> Result<Vec<u32>, String> {
        let ids = |special| -> Result<Vec<u32>, String> {
            let encoding = self.inner.encode("a", special).map_err(|e| e.to_string())?;
            Ok(encoding.get_ids().to_vec())
        };
        let (all, text) = (ids(true)?, ids(false)?);
        let at = all.windows(text.len().max(1)).position(|window| window == text);
        Ok(all[..at.unwrap_or(0)].to_vec())
    }

    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Ids of a text, without what the post-processor adds.
    pub fn encode(&self, text: &str, parse_special: bool, beginning: bool) -> Result<Vec<u32>, String> {
        limited(memory_for(text.len()), || self.encode_within_budget(text, parse_special, beginning))
    }

    fn encode_within_budget(
        &self,
        text: &str,
        parse_special: bool,
        beginning: bool,
    ) -> Result<Vec<u32>, String> {
        let pipeline = match &self.inside {
            Some(inside) if !beginning => inside,
            _ => &self.beginning,
        };
        let added = if parse_special { &pipeline.special } else { &pipeline.plain };
        let mut pieces = added.extract_and_normalize(pipeline.normalizer.as_ref(), text);
        if let Some(pre_tokenizer) = &pipeline.pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(|e| e.to_string())?;
        }
        let model = self.inner.get_model();
        pieces.tokenize(|piece| model.tokenize(piece.get())).map_err(|e| e.to_string())?;
        let encoding = pieces
            .into_encoding(None, 0, tokenizers::OffsetType::None)
            .map_err(|e| e.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// One above the largest id.
    pub fn vocab_size(&self) -> usize {
        self.tokens.last_key_value().map_or(0, |(id, _)| *id as usize + 1)
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// None: no token has this id.
    pub fn token(&self, id: u32) -> Option<Token> {
        let content = self.tokens.get(&id)?;
        let added = self.inner.get_added_vocabulary();
        if added.is_special_token(content) {
            return Some(Token { bytes: content.as_bytes().to_vec(), special: true });
        }
        Some(Token { bytes: self.bytes(content), special: false })
    }

    /// What a decoder writes for a token inside a text, before broken UTF-8 is repaired.
    fn bytes(&self, content: &str) -> Vec<u8> {
        if self.byte_level {
            let bytes: Option<Vec<u8>> = content.chars().map(byte_of_letter).collect();
            return bytes.unwrap_or_else(|| content.as_bytes().to_vec());
        }
        if self.byte_fallback {
            let hex = content.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            if let Some(byte) = hex.filter(|h| h.len() == 2).and_then(|h| u8::from_str_radix(h, 16).ok()) {
                return vec![byte];
            }
        }
        let Some(decoder) = self.inner.get_decoder() else { return content.as_bytes().to_vec() };
        // A token before it, so that nothing is taken off as the beginning of a text.
        const BEFORE: &str = "a";
        let text = decoder.decode(vec![BEFORE.into(), content.into()]).unwrap_or_default();
        text.strip_prefix(BEFORE).unwrap_or(&text).as_bytes().to_vec()
    }
}

fn has_part(component: &Value, kind: &str) -> bool {
    component["type"] == kind
        || component["decoders"].as_array().is_some_and(|parts| parts.iter().any(|p| has_part(p, kind)))
}

/// GPT-2 writes each byte as a printable character: those that are none from U+0100 on, in order.
pub fn byte_of_letter(letter: char) -> Option<u8> {
    let printable = |b: u32| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = letter as u32;
    if code < 256 {
        return printable(code).then_some(code as u8);
    }
    (0..256u32).filter(|b| !printable(*b)).nth((code - 256) as usize).map(|b| b as u8)
}

/// Trains byte-level BPE whose words are a digit or what GPT-2 takes for one, and writes it as a
/// tokenizer.json. Equal texts give equal bytes.
pub fn train(texts: &[&str], vocab_size: usize) -> Result<String, String> {
    use tokenizers::models::bpe::{BpeTrainer, BPE};
    use tokenizers::pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence};
    tokenizers::parallelism::set_parallelism(false);
    let mut inner: Impl = TokenizerImpl::new(ModelWrapper::BPE(BPE::default()));
    let byte_level = ByteLevel::new(false, false, true);
    inner.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(byte_level),
    ])));
    inner.with_decoder(Some(decoders::DecoderWrapper::ByteLevel(byte_level)));
    let mut trainer = tokenizers::models::TrainerWrapper::from(
        BpeTrainer::builder()
            .vocab_size(vocab_size)
            .min_frequency(2) // what occurs once teaches no word
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    inner.train(&mut trainer, texts.iter()).map_err(|e| e.to_string())?;
    serde_json::to_string(&inner).map_err(|e| e.to_string())
}
