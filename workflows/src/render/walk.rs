//! What a parsed template means: its helpers, its variables, and the work rendering it may take.

use std::collections::BTreeSet;

use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};

use super::helpers::{self, Form};
use super::{Checked, Finding, MAX_EACH, MAX_ITEMS};
use crate::variables;

/// Most evaluations one rendering may take, if every loop is as long as it may be.
const MAX_WORK: usize = 50_000;

/// Reads the whole template.
///
/// Its recursion is as deep as the template nests, which the scan has bounded.
pub(super) fn walk(template: &Template) -> Result<Checked, Vec<Finding>> {
    let mut walk = Walk::default();
    walk.template(template, &Scope::default());
    if walk.work > MAX_WORK {
        let message = format!(
            "the loops may take {} evaluations (each counts {MAX_ITEMS} times); at most {MAX_WORK} are allowed",
            walk.work
        );
        walk.errors.push(Finding { line: 1, column: 1, code: "too_much_work", message });
    }
    if walk.errors.is_empty() {
        return Ok(Checked { variables: walk.variables, warnings: walk.warnings });
    }
    walk.errors.truncate(Finding::MOST);
    Err(walk.errors)
}

#[derive(Default)]
struct Walk {
    variables: BTreeSet<String>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    work: usize,
    /// Line and column of the element that is being looked at.
    position: (usize, usize),
}

/// Where in the template: what names mean there and how often it is rendered.
#[derive(Clone, Default)]
struct Scope {
    each: u32,
    /// Inside `each` or `with`: names without `@root` belong to the item.
    in_item: bool,
    /// Names given by `as |item index|`.
    names: BTreeSet<String>,
}

impl Walk {
    fn error(&mut self, code: &'static str, message: impl Into<String>) {
        let (line, column) = self.position;
        self.errors.push(Finding { line, column, code, message: message.into() });
    }

    fn template(&mut self, template: &Template, scope: &Scope) {
        for (index, element) in template.elements.iter().enumerate() {
            // The templates the parser makes for `else if` have no positions: keep the block's.
            if let Some(mapping) = template.mapping.get(index) {
                self.position = (mapping.0, mapping.1);
            }
            self.count(scope);
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) => self.expression(expression, scope),
                TemplateElement::HelperBlock(block) => self.block(block, scope),
                TemplateElement::HtmlExpression(_) => self.error("unescaped", "write {{…}}"),
                TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                    self.error("partial", "partials are not allowed");
                }
                _ => self.error("decorator", "decorators are not allowed"),
            }
        }
    }

    fn count(&mut self, scope: &Scope) {
        self.work = self.work.saturating_add(MAX_ITEMS.saturating_pow(scope.each));
    }

    /// `{{name}}` or `{{helper a b}}`.
    fn expression(&mut self, expression: &HelperTemplate, scope: &Scope) {
        let is_bare = expression.params.is_empty() && expression.hash.is_empty();
        match &expression.name {
            Parameter::Path(path) if is_bare && helpers::form(raw(path)).is_none() => {
                self.printed(path, scope);
            }
            // Its name would come from a value.
            Parameter::Subexpression(_) => {
                self.error(
                    "arguments",
                    "a tag cannot begin with a parenthesis; write {{default …}} without it",
                );
            }
            name => {
                let name = name.as_name().unwrap_or_default();
                match helpers::form(name) {
                    Some(Form::Value { least, most }) => {
                        self.arguments(name, expression, (least, most), scope);
                    }
                    Some(Form::Block) => {
                        self.error(
                            "arguments",
                            format!("{name} is a block; write {{{{#{name} …}}}} … {{{{/{name}}}}}"),
                        );
                    }
                    None => self.unknown(name),
                }
            }
        }
    }

    /// `{{#helper a}} … {{else}} … {{/helper}}`.
    fn block(&mut self, block: &HelperTemplate, scope: &Scope) {
        let position = self.position;
        let name = block.name.as_name().unwrap_or_default();
        match helpers::form(name) {
            Some(Form::Block) => self.arguments(name, block, (1, 1), scope),
            Some(Form::Value { .. }) => {
                self.error("arguments", format!("{name} is no block; write {{{{#if ({name} …)}}}}"));
            }
            None => self.unknown(name),
        }
        if let Some(inside) = &block.template {
            let scope = self.inside(name, block, scope);
            self.template(inside, &scope);
        }
        self.position = position;
        if let Some(inverse) = &block.inverse {
            self.template(inverse, scope);
        }
    }

    fn inside(&mut self, name: &str, block: &HelperTemplate, scope: &Scope) -> Scope {
        let mut scope = scope.clone();
        if name == "each" {
            scope.each += 1;
            if scope.each as usize == MAX_EACH + 1 {
                self.error("each_nesting", format!("each nests deeper than {MAX_EACH}"));
            }
        }
        scope.in_item |= matches!(name, "each" | "with");
        let named = match &block.block_param {
            Some(BlockParam::Single(first)) => vec![first],
            Some(BlockParam::Pair((first, second))) => vec![first, second],
            _ => Vec::new(),
        };
        scope.names.extend(named.into_iter().filter_map(|p| p.as_name().map(str::to_owned)));
        scope
    }

    fn arguments(&mut self, name: &str, call: &HelperTemplate, (least, most): (usize, usize), scope: &Scope) {
        let given = call.params.len();
        if given < least || given > most {
            let wanted = if least == most { format!("{least}") } else { format!("at least {least}") };
            self.error("arguments", format!("{name} takes {wanted} value(s), not {given}"));
        }
        for key in call.hash.keys().filter(|key| !(is_conditional(name) && *key == "includeZero")) {
            self.error("arguments", format!("{name} takes no {key}="));
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.count(scope);
            match parameter {
                Parameter::Path(path) => self.used(path, scope),
                Parameter::Subexpression(inner) => match inner.as_element() {
                    TemplateElement::Expression(call) => self.subexpression(call, scope),
                    _ => self.error("arguments", "only a helper can stand in parentheses"),
                },
                Parameter::Literal(value) if value.is_array() || value.is_object() => {
                    self.error("arguments", "a list cannot be written in a template");
                }
                _ => {}
            }
        }
    }

    /// `(helper a b)`: never a bare variable.
    fn subexpression(&mut self, call: &HelperTemplate, scope: &Scope) {
        let name = call.name.as_name().unwrap_or_default();
        if call.params.is_empty() && helpers::form(name).is_none() {
            return self.error("arguments", format!("write {name} without parentheses"));
        }
        self.expression(call, scope);
    }

    fn unknown(&mut self, name: &str) {
        let message = match name {
            "lookup" => "lookup is not allowed; write attributes.[name]".to_owned(),
            _ => format!("there is no helper {name}; there are {}", helpers::NAMES.join(", ")),
        };
        self.error("unknown_helper", message);
    }

    /// A path whose value becomes text.
    fn printed(&mut self, path: &Path, scope: &Scope) {
        self.used(path, scope);
        let names = names(path);
        if is_of_root(path, scope) && (names.is_empty() || names == ["attributes"]) {
            let message = format!("{} is no single value; say which one, as in attributes.city", raw(path));
            self.error("not_a_value", message);
        }
    }

    fn used(&mut self, path: &Path, scope: &Scope) {
        let names = names(path);
        let Some(first) = names.first() else { return };
        if !is_of_root(path, scope) || scope.names.contains(*first) {
            return;
        }
        let is_new = self.variables.insert(names.join("."));
        if is_new && !variables::is_built_in(first) {
            let (line, column) = self.position;
            let message = format!("{first} is not built in; it is taken from the contact's own attributes");
            self.warnings.push(Finding { line, column, code: "unknown_variable", message });
        }
    }
}

fn is_conditional(name: &str) -> bool {
    matches!(name, "if" | "unless")
}

fn is_of_root(path: &Path, scope: &Scope) -> bool {
    let is_local = matches!(path, Path::Local(_));
    !is_local && (!scope.in_item || raw(path).starts_with("@root"))
}

fn raw(path: &Path) -> &str {
    match path {
        Path::Relative((_, raw)) | Path::Local((_, _, raw)) => raw,
    }
}

fn names(path: &Path) -> Vec<&str> {
    let Path::Relative((segments, _)) = path else { return Vec::new() };
    let named = segments.iter().map(|segment| if let PathSeg::Named(name) = segment { name } else { "" });
    named.filter(|name| !name.is_empty()).collect()
}
