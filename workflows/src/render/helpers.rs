//! The helpers a template may call. None reads anything but its arguments.

use std::sync::LazyLock;

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy, JsonValue,
    Output, PathAndJson, RenderContext, RenderError, RenderErrorReason, Renderable, ScopedJson, no_escape,
};

use super::{Kind, MAX_ITEMS};

/// How a helper is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `{{#helper value}} … {{/helper}}`.
    Block,
    /// `{{helper value …}}` or `(helper value …)`, with so many values.
    Value { least: usize, most: usize },
}

/// All helpers, for messages.
pub(super) const NAMES: [&str; 14] = [
    "if",
    "unless",
    "each",
    "with",
    "eq",
    "ne",
    "and",
    "or",
    "not",
    "default",
    "upper",
    "lower",
    "capitalize",
    "trim",
];

/// How the helper `name` is called; none if there is no such helper.
pub(super) fn form(name: &str) -> Option<Form> {
    match name {
        "if" | "unless" | "each" | "with" => Some(Form::Block),
        "eq" | "ne" => Some(Form::Value { least: 2, most: 2 }),
        "and" | "or" | "default" => Some(Form::Value { least: 2, most: usize::MAX }),
        "not" | "upper" | "lower" | "capitalize" | "trim" => Some(Form::Value { least: 1, most: 1 }),
        _ => None,
    }
}

/// The one registry of a kind: it holds helpers and escaping, never a template.
pub(super) fn registry(kind: Kind) -> &'static Handlebars<'static> {
    static HTML: LazyLock<Handlebars<'static>> = LazyLock::new(strict);
    static PLAIN: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
        let mut registry = strict();
        registry.register_escape_fn(no_escape);
        registry
    });
    match kind {
        Kind::Html => &HTML,
        Kind::Subject | Kind::Text => &PLAIN,
    }
}

fn strict() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    for name in ["lookup", "raw", "log", "gt", "gte", "lt", "lte", "len"] {
        registry.unregister_helper(name);
    }
    registry.register_helper("each", Box::new(Each));
    registry.register_helper("eq", Box::new(Test(same)));
    registry.register_helper("ne", Box::new(Test(|values| same(values).map(|same| !same))));
    registry.register_helper("and", Box::new(Test(|values| Ok(values.iter().all(is_truthy)))));
    registry.register_helper("or", Box::new(Test(|values| Ok(values.iter().any(is_truthy)))));
    registry.register_helper("not", Box::new(Test(|values| Ok(!values.iter().any(is_truthy)))));
    registry.register_helper("default", Box::new(Fallback));
    registry.register_helper("upper", Box::new(Word(str::to_uppercase)));
    registry.register_helper("lower", Box::new(Word(str::to_lowercase)));
    registry.register_helper("capitalize", Box::new(Word(capitalize)));
    registry.register_helper("trim", Box::new(Word(|word| word.trim().to_owned())));
    registry
}

type Values<'a, 'rc> = &'a [PathAndJson<'rc>];

/// True or false of its values; a missing one is false, as in `if`.
struct Test(fn(Values<'_, '_>) -> Result<bool, RenderError>);

impl HelperDef for Test {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        call: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.0(call.params()).map(|is| ScopedJson::Derived(JsonValue::Bool(is)))
    }
}

/// One word out of another.
struct Word(fn(&str) -> String);

impl HelperDef for Word {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        call: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let word = plain(first_present(call)?)?;
        Ok(ScopedJson::Derived(JsonValue::String(self.0(&word))))
    }
}

/// `default`: the first of its values that is there and not empty.
struct Fallback;

impl HelperDef for Fallback {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        call: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let value = first_present(call)?;
        plain(value)?;
        Ok(ScopedJson::Derived(value.value().clone()))
    }
}

/// `each` as handlebars has it, over at most [`MAX_ITEMS`] items.
struct Each;

impl HelperDef for Each {
    fn call<'reg: 'rc, 'rc>(
        &self,
        call: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        output: &mut dyn Output,
    ) -> HelperResult {
        let (Some(list), Some(body)) = (call.param(0), call.template()) else { return Ok(()) };
        // Only what lies in the context has a path, and nothing else can be a list.
        let base = list.context_path().map(Vec::as_slice).unwrap_or_default();
        let keys = match list.value() {
            JsonValue::Array(items) => (0..items.len()).map(|index| (index.to_string(), None)).collect(),
            JsonValue::Object(map) => map.keys().map(|key| (key.clone(), Some(key.clone()))).collect(),
            _ if call.inverse().is_none() => return Err(RenderError::strict_error(list.relative_path())),
            _ => Vec::new(),
        };
        if keys.len() > MAX_ITEMS {
            return Err(unfit(format!("each goes over at most {MAX_ITEMS} items, not {}", keys.len())));
        }
        if keys.is_empty()
            && let Some(inverse) = call.inverse()
        {
            return inverse.render(registry, context, render, output);
        }
        let last = keys.len().saturating_sub(1);
        for (index, (segment, key)) in keys.into_iter().enumerate() {
            let mut block = BlockContext::new();
            *block.base_path_mut() = [base, &[segment]].concat();
            block.set_local_var("first", (index == 0).into());
            block.set_local_var("last", (index == last).into());
            block.set_local_var("index", index.into());
            if let Some(key) = &key {
                block.set_local_var("key", key.as_str().into());
            }
            block.set_block_params(names(call, key.map_or_else(|| index.into(), JsonValue::String))?);
            render.push_block(block);
            let rendered = body.render(registry, context, render, output);
            render.pop_block();
            rendered?;
        }
        Ok(())
    }
}

/// What `as |item key|` names in a block.
fn names<'rc>(call: &Helper<'rc>, key: JsonValue) -> Result<BlockParams<'rc>, RenderError> {
    let mut names = BlockParams::new();
    if let Some(item) = call.block_param() {
        names.add_path(item, Vec::new())?;
    } else if let Some((item, second)) = call.block_param_pair() {
        names.add_path(item, Vec::new())?;
        names.add_value(second, key)?;
    }
    Ok(names)
}

fn first_present<'a, 'rc>(call: &'a Helper<'rc>) -> Result<&'a PathAndJson<'rc>, RenderError> {
    let is_present =
        |value: &&PathAndJson<'_>| !value.value().is_null() && value.value().as_str() != Some("");
    let missing = || RenderError::strict_error(call.param(0).and_then(PathAndJson::relative_path));
    call.params().iter().find(is_present).ok_or_else(missing)
}

fn is_truthy(value: &PathAndJson<'_>) -> bool {
    value.value().is_truthy(false)
}

fn same(values: Values<'_, '_>) -> Result<bool, RenderError> {
    let [left, right] = values else { return Ok(false) };
    if left.value().is_null() || right.value().is_null() {
        return Ok(left.value().is_null() && right.value().is_null());
    }
    Ok(plain(left)? == plain(right)?)
}

/// The text of a word, number or truth value; a list or a map is none.
fn plain(value: &PathAndJson<'_>) -> Result<String, RenderError> {
    match value.value() {
        JsonValue::Array(_) | JsonValue::Object(_) => {
            let name = value.relative_path().map_or("a value", String::as_str);
            Err(unfit(format!("{name} is a list, not a single value")))
        }
        _ => Ok(value.render()),
    }
}

fn unfit(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

fn capitalize(word: &str) -> String {
    let mut rest = word.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
