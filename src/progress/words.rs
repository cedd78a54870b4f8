//! What the words beside a number say of it.

/// Words of how far work is, also as others say it.
const PROGRESS: &str = "abgeschlossen avancement completado completato complete completed copied copy descarga \
     descargado descargando done download downloaded erledigt extract extracted fertig fetch \
     finished fortschritt herunterladen hotovo ilerleme klart overall percent percentage \
     processed progreso progress progression progresso read received sent terminado total \
     transfer transferred upload uploaded voltooid written terminé téléchargement выполнено \
     готово завершено загружено загрузка прогресс ダウンロード ダウンロード中 下载 下载中 完了 完成 已完成 正在下载 进度 進捗 다운로드 \
     완료";
/// Words of how full, how fast or how good something is.
const OTHER: &str = "acc accuracy avail available battery bigger busy cache capacity chance compressed \
     compression confidence coverage cpu decrease deflated discount disk efficiency errors failed \
     fan faster free full gpu hit hits humidity identical idle increase inflated larger left less \
     limit load loss lost mem memory miss misses more occupied off opacity overhead packet power \
     precision probability quality ram rate ratio recall reduction remaining saved savings \
     similar similarity signal slower smaller speed stored swap temp temperature threshold unused \
     uptime usage used utilization";
/// Those that end as a word of doing does, and are none.
const NO_DOING: &str = "during evening missing morning nothing pending rating remaining retrying something string \
     thing using warning";
/// Those before a number of which something is told that isn't how far work is: `Running at 80%`.
const LEADING: &str =
    "a about an and are around at by for from in is of on only or than to under with";
/// What is counted when it begins: the third of seven is at work, and two are done.
const BEGUN: &str = "archivo datei fichier batch chapter chunk disc episode epoch file frame image item iteration \
     layer package page part pass phase round sample scene segment stage step task test tile \
     track video volume etapa fase krok paso passo schritt stap steg étape шаг этап";
/// Those of them that are always of the whole.
const WHOLE: &str = "epoch part pass phase stage step task etapa fase krok paso passo schritt stap steg étape шаг \
     этап";

/// Whether a label, or a word, is about how far work is: `Receiving objects`, `progress`.
pub(super) fn speak_of_progress(label: &str) -> bool {
    words(label).any(|word| is_progress(word) || is_doing(word))
}

/// A word of how far work is: `done`.
pub(super) fn is_progress(word: &str) -> bool {
    is_one_of(PROGRESS, word)
}

/// Whether it is about all of the work.
pub(super) fn speak_of_all(label: &str) -> bool {
    words(label).any(|word| is_one_of("total overall", word))
}

/// Whether it is nothing but that: `overall progress`, and not `files in all`.
pub(super) fn name_all(label: &str) -> bool {
    let names_all = |word| is_one_of("all gesamt overall total", word);
    let mut others = words(label).filter(|word| !names_all(word));
    words(label).any(names_all) && others.all(is_progress)
}

/// A word that a log puts before what it says: `INFO`.
pub(super) fn is_level(word: &str) -> bool {
    const LEVELS: &str = "debug error info notice trace verbose warn warning";
    is_one_of(LEVELS, word)
}

/// Whether it is about something that has a percentage and makes no progress.
pub(super) fn speak_of_other(label: &str) -> bool {
    words(label).any(|word| is_one_of(OTHER, word))
}

/// A word of doing: `Extracting`.
pub(super) fn is_doing(word: &str) -> bool {
    let ends = word.len() > 4 && word.to_ascii_lowercase().ends_with("ing");
    ends && !is_one_of(NO_DOING, word)
}

/// A word of what is done: `Converted`.
pub(super) fn is_past(word: &str) -> bool {
    const NONE: &str = "dropped exceed needed rated reached reduced speed used";
    let ends = word.len() > 4 && word.to_ascii_lowercase().ends_with("ed");
    ends && !is_one_of(NONE, word) && !is_one_of(OTHER, word)
}

/// Whether a text is of something that is being done, up to a number: `Extracting a.zip`.
pub(super) fn is_of_doing(text: &str) -> bool {
    is_doing(first(text.trim_start())) && !is_one_of(LEADING, last(text))
}

/// A word of something that is counted as it begins: `Step`.
pub(super) fn is_begun(word: &str) -> bool {
    is_one_of(BEGUN, word)
}

/// One that is a part of the whole wherever it stands.
pub(super) fn is_part_of_all(word: &str) -> bool {
    is_one_of(WHOLE, word)
}

/// The first word of a text, where it begins with one.
pub(super) fn first(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphabetic());
    &text[..end.unwrap_or(text.len())]
}

/// The last word of a text, where it ends with one.
pub(super) fn last(text: &str) -> &str {
    &text[text.trim_end_matches(char::is_alphabetic).len()..]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphabetic());
    words.filter(|word| !word.is_empty())
}

/// Whether a list of words, parted by spaces, has this one, however it is written.
fn is_one_of(list: &str, word: &str) -> bool {
    // Of the letters that the lists have.
    let lower = |c: char| match c {
        'À'..='Þ' | 'А'..='Я' => char::from_u32(c as u32 + 0x20).unwrap_or(c),
        c => c.to_ascii_lowercase(),
    };
    is_in(list, &word.chars().map(lower).collect::<String>())
}

/// Whether such a list has this very word.
#[inline(never)]
pub(super) fn is_in(list: &str, word: &str) -> bool {
    let mut words = list.as_bytes().split(|b| *b == b' ');
    words.any(|it| it == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_it_is_about() {
        for label in [
            "Progress",
            "Receiving objects",
            "Total",
            "[download]",
            "50 done",
        ] {
            assert!(speak_of_progress(label), "{label}");
        }
        assert!(speak_of_progress("Прогресс") && !speak_of_progress("Диск"));
        assert!(is_begun("Étape") && speak_of_progress("ГОТОВО") && !is_begun("Ètape"));
        for label in ["cpu", "warning", "ping", "intra", "Morphology/Image[]", ""] {
            assert!(!speak_of_progress(label), "{label}");
        }
        assert!(speak_of_other("cache hit rate") && !speak_of_other("Counting objects"));
        assert!(speak_of_all("Total progress") && !speak_of_all("Current progress"));
        assert!(name_all("(overall progress") && name_all("all"));
        assert!(!name_all("cpu total") && !name_all("progress") && !name_all(""));
    }

    #[test]
    fn the_words_at_both_ends_are_found() {
        assert_eq!(
            (first("done, ok"), first(" x"), first("")),
            ("done", "", "")
        );
        assert_eq!((last("at Step"), last("Step "), last("")), ("Step", "", ""));
    }
}
