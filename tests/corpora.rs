//! Every input of the fuzz targets' corpora, and every case that they found, as ordinary
//! tests.

#[path = "fuzz/properties/mod.rs"]
mod properties;

use std::path::Path;

/// Calls `check` with every file of a target's corpus.
fn each(target: &str, mut check: impl FnMut(&[u8])) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpora");
    let mut count = 0;
    for file in std::fs::read_dir(corpora.join(target)).unwrap() {
        let path = file.unwrap().path();
        // It is shown where the test fails.
        println!("{}", path.display());
        check(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 5, "{target} has a corpus of {count}");
}

#[test]
fn heads_are_read_the_same_however_they_are_cut_and_have_one_length() {
    each("head", properties::head::check);
}

#[test]
fn bodies_are_read_the_same_however_they_are_cut() {
    each("body", properties::body::check);
}

#[test]
fn a_last_event_id_begins_a_stream_whatever_it_says() {
    each("last_event_id", properties::last_event_id::check);
}

#[test]
fn a_target_is_decoded_once() {
    each("query", properties::query::check);
}

#[test]
fn a_credential_stands_alone_where_it_was_found() {
    each("cookie", properties::cookie::check);
}

#[test]
fn no_token_is_good_that_no_key_made() {
    each("token", properties::token::check);
}

#[test]
fn what_a_command_prints_is_read_the_same_however_it_is_cut() {
    each("progress", properties::progress::check);
}

#[test]
fn an_event_is_one_frame_and_a_stream_is_read_as_a_browser_would() {
    each("event", properties::event::check);
}

#[test]
fn a_connection_gets_well_formed_answers_whatever_it_sends() {
    let servers = properties::connection::Servers::start();
    each("connection", |input| servers.check(input));
}

#[test]
fn a_hub_is_restored_from_a_journal_whatever_stands_in_it() {
    each("journal", properties::journal::check);
}

#[test]
fn an_upload_is_taken_apart_the_same_however_it_is_cut() {
    each("upload", properties::upload::check);
}

#[test]
fn no_file_is_read_by_what_opens_others() {
    each("media", properties::media::check);
}

#[test]
fn a_file_has_a_name_that_is_given_back_as_it_was_taken() {
    each("name", properties::name::check);
}

#[test]
fn nobody_is_shown_where_things_lie() {
    each("shown", properties::shown::check);
}

#[test]
fn a_plan_can_be_run_or_its_line_is_named() {
    each("config", properties::config::check);
}
