//! `#[derive(Options)]`: the definition of a connector's options, and how they are read, from one struct. The crate
//! `jackfield-api` hands it on and describes it (`jackfield_api::Options`).
//!
//! This crate must not know more of the SDK than the names it writes down.

mod field;

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, parse_macro_input, spanned::Spanned};

use self::field::Field;

/// Implements `jackfield_api::Options`; see there.
#[proc_macro_derive(Options, attributes(option))]
pub fn options(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

fn expand(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let wrong = || syn::Error::new(input.span(), "Options is derived for structs with named fields");
    let Data::Struct(data) = &input.data else {
        return Err(wrong());
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(wrong());
    };
    let fields = fields
        .named
        .iter()
        .map(Field::read)
        .collect::<syn::Result<Vec<_>>>()?;
    let definitions = fields.iter().map(Field::definition);
    let readers = fields.iter().map(Field::reader);
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::jackfield_api::Options for #name #arguments #bounds {
            fn config_def() -> ::jackfield_api::ConfigDef {
                ::jackfield_api::ConfigDef { keys: ::std::vec![#(#definitions),*] }
            }

            fn read(
                config: &::jackfield_api::Config,
            ) -> ::std::result::Result<Self, ::jackfield_api::ConnectError> {
                ::std::result::Result::Ok(Self { #(#readers),* })
            }
        }
    })
}
