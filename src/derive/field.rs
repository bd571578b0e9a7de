//! One field: an option with its documentation, default and checks.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Expr, ExprLit, ExprUnary, Ident, Lit, LitInt, LitStr, Meta, Token, Type, UnOp, parse::ParseStream,
    spanned::Spanned,
};

/// An option.
pub(crate) struct Field {
    ident: Ident,
    kind: Type,
    name: String,
    documentation: String,
    importance: Ident,
    default: Option<String>,
    group: Option<String>,
    display: Option<String>,
    checks: Vec<TokenStream>,
}

impl Field {
    pub(crate) fn read(field: &syn::Field) -> syn::Result<Self> {
        let ident = field
            .ident
            .clone()
            .ok_or_else(|| syn::Error::new(field.span(), "a field without a name"))?;
        let mut read = Self {
            name: ident.to_string().trim_start_matches("r#").replace('_', "."),
            kind: field.ty.clone(),
            documentation: documentation(field),
            importance: format_ident!("Medium"),
            default: None,
            group: None,
            display: None,
            checks: Vec::new(),
            ident,
        };
        for attribute in &field.attrs {
            if attribute.path().is_ident("option") {
                attribute.parse_nested_meta(|meta| read.attribute(&meta))?;
            }
        }
        if read.documentation.is_empty() {
            let message = "an option needs a doc comment: it is what users read about it";
            return Err(syn::Error::new(field.span(), message));
        }
        Ok(read)
    }

    fn attribute(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
        let text = || meta.value()?.parse::<LitStr>().map(|text| text.value());
        if meta.path.is_ident("name") {
            self.name = text()?;
        } else if meta.path.is_ident("group") {
            self.group = Some(text()?);
        } else if meta.path.is_ident("display") {
            self.display = Some(text()?);
        } else if meta.path.is_ident("importance") {
            let given: Ident = meta.value()?.parse()?;
            self.importance = match given.to_string().as_str() {
                "high" => format_ident!("High"),
                "medium" => format_ident!("Medium"),
                "low" => format_ident!("Low"),
                _ => return Err(syn::Error::new(given.span(), "high, medium or low")),
            };
        } else if meta.path.is_ident("default") {
            self.default = Some(literal(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("non_empty") {
            self.checks.push(quote!(::jackfield_api::Validator::NonEmpty));
        } else if meta.path.is_ident("one_of") {
            let value = meta.value()?;
            let given;
            syn::bracketed!(given in value);
            let values = given.parse_terminated(<LitStr as syn::parse::Parse>::parse, syn::Token![,])?;
            let values = values.iter();
            self.checks.push(quote!(::jackfield_api::Validator::OneOf(
                ::std::vec![#(#values.to_owned()),*]
            )));
        } else if meta.path.is_ident("range") {
            let [min, max] = range(meta.value()?)?.map(|bound| match bound {
                Some(bound) => quote!(::std::option::Option::Some(#bound)),
                None => quote!(::std::option::Option::None),
            });
            self.checks
                .push(quote!(::jackfield_api::Validator::Range { min: #min, max: #max }));
        } else {
            return Err(meta.error("name, default, importance, group, display, non_empty, one_of or range"));
        }
        if self.checks.len() > 1 {
            return Err(meta.error("an option has one check at most"));
        }
        Ok(())
    }

    /// The expression of its `ConfigKey`.
    pub(crate) fn definition(&self) -> TokenStream {
        let Self {
            name,
            documentation,
            importance,
            kind,
            ..
        } = self;
        let default = match &self.default {
            Some(default) => quote!(::std::option::Option::Some(#default.to_owned())),
            None => quote!(::std::option::Option::None),
        };
        let required = match self.default {
            Some(_) => quote!(false),
            None => quote!(<#kind as ::jackfield_api::OptionValue>::REQUIRED),
        };
        let display = self.display.as_ref().unwrap_or(name);
        let group = match &self.group {
            Some(group) => quote!(::std::option::Option::Some(#group.to_owned())),
            None => quote!(::std::option::Option::None),
        };
        let check = match self.checks.first() {
            Some(check) => quote!(::std::option::Option::Some(#check)),
            None => quote!(<#kind as ::jackfield_api::OptionValue>::validator()),
        };
        quote! {
            ::jackfield_api::ConfigKey {
                name: #name.to_owned(),
                kind: <#kind as ::jackfield_api::OptionValue>::TYPE,
                default: #default,
                required: #required,
                importance: ::jackfield_api::Importance::#importance,
                documentation: #documentation.to_owned(),
                display_name: #display.to_owned(),
                group: #group,
                validator: #check,
            }
        }
    }

    /// The field of the struct with its value.
    pub(crate) fn reader(&self) -> TokenStream {
        let Self {
            ident, kind, name, ..
        } = self;
        quote!(#ident: <#kind as ::jackfield_api::OptionValue>::read(config, #name)?)
    }
}

/// The doc comment as one paragraph.
fn documentation(field: &syn::Field) -> String {
    let lines = field.attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// `a..=b`, `a..` or `..=b`, both ends being part of it.
fn range(input: ParseStream<'_>) -> syn::Result<[Option<i64>; 2]> {
    let min = if input.peek(Token![..=]) || input.peek(Token![..]) {
        None
    } else {
        Some(integer(input)?)
    };
    if input.peek(Token![..=]) {
        input.parse::<Token![..=]>()?;
        return Ok([min, Some(integer(input)?)]);
    }
    input.parse::<Token![..]>()?;
    if input.peek(LitInt) {
        return Err(input.error("both ends belong to a range: write a..=b"));
    }
    Ok([min, None])
}

fn integer(input: ParseStream<'_>) -> syn::Result<i64> {
    let sign = if input.parse::<Option<Token![-]>>()?.is_some() {
        -1
    } else {
        1
    };
    Ok(sign * input.parse::<LitInt>()?.base10_parse::<i64>()?)
}

/// A default as it is written in a config.
fn literal(expression: &Expr) -> syn::Result<String> {
    match expression {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Ok(text.value()),
            Lit::Int(number) => Ok(digits(number)),
            Lit::Float(number) => Ok(number.base10_digits().to_owned()),
            Lit::Bool(flag) => Ok(flag.value.to_string()),
            _ => Err(syn::Error::new(lit.span(), "a text, a number, true or false")),
        },
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => Ok(format!("-{}", literal(expr)?)),
        _ => Err(syn::Error::new(
            expression.span(),
            "a text, a number, true or false",
        )),
    }
}

fn digits(number: &LitInt) -> String {
    number.base10_digits().to_owned()
}
