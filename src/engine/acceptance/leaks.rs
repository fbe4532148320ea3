//! What belongs to the server or to the model's protocol, and stands in the text of the page.

/// A control token of the model that the server should have removed: the answer after it does not follow the grammar.
pub(super) fn special_token(texts: &[String]) -> Option<String> {
    let found = texts.iter().find_map(|text| SPECIAL_TOKENS.iter().find_map(|bars| token_between(text, bars)))?;
    Some(format!("the special token {found} is in the text"))
}

/// The brackets of a special token, in ASCII and in full-width form.
const SPECIAL_TOKENS: [(&str, &str); 2] = [("<|", "|>"), ("<｜", "｜>")];
/// Characters of a token's name. A single character is part of a formula.
const TOKEN_NAME: std::ops::RangeInclusive<usize> = 2..=32;

fn token_between<'a>(text: &'a str, (open, close): &(&str, &str)) -> Option<&'a str> {
    text.match_indices(open).find_map(|(start, _)| {
        let behind = &text[start + open.len()..];
        let name = &behind[..behind.find(|c: char| !c.is_ascii_alphanumeric() && !"_/▁".contains(c))?];
        let ends = behind[name.len()..].starts_with(close) && TOKEN_NAME.contains(&name.chars().count());
        ends.then(|| &text[start..start + open.len() + name.len() + close.len()])
    })
}

/// Markup of a call of a tool, in the forms of Hermes, Qwen, Llama and Mistral, and of a model's thoughts.
const TOOL_MARKUP: [&str; 9] = [
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "<function_call>",
    "<function=",
    "<parameter=",
    "[TOOL_CALLS]",
    "<think>",
    "</think>",
];

/// A call of a tool, or a thought, between the text of the page.
pub(super) fn tool_markup(texts: &[String]) -> Option<String> {
    let found = TOOL_MARKUP.iter().find(|markup| texts.iter().any(|text| text.contains(**markup)))?;
    Some(format!(
        "{found} is in the text: the model calls tools or thinks; start the server with the profile's model and its own \
         chat template, without tools"
    ))
}

/// Fewest characters of a prompt's sentence that no page says by chance. `Text Recognition:` may be a heading.
const PROMPT_SENTENCE: usize = 40;

/// A sentence of the prompt in the text: some models answer with what they were asked.
pub(super) fn repeated_prompt(texts: &[String], prompt: &str) -> Option<String> {
    let mut sentences = prompt.split(['\n', '.']).map(str::trim).filter(|line| line.chars().count() >= PROMPT_SENTENCE);
    let text = texts.join("\n");
    let found = sentences.find(|sentence| text.contains(sentence))?;
    Some(format!("the prompt is in the text: `{found}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_in_the_answer_is_told_from_a_page() {
        let prompt = "Text Recognition:\nConvert the page of this document to plain Markdown text. Be brief.";
        let leak = |text: &str| repeated_prompt(&[text.to_owned()], prompt);
        assert!(leak("Convert the page of this document to plain Markdown text").is_some());
        assert_eq!(leak("Text Recognition: Be brief"), None);
        assert_eq!(repeated_prompt(&["Vu la loi".to_owned()], ""), None);
    }

    #[test]
    fn comparisons_and_formulas_are_no_tokens_of_the_model() {
        for text in ["si a <|b| et |c|> d", "<|x|>", "<| un texte de la page |>", "<||>"] {
            assert_eq!(special_token(&[text.to_owned()]), None, "{text}");
        }
        assert!(special_token(&["a <| b <|im_end|>".to_owned()]).is_some());
    }

    #[test]
    fn a_call_of_a_tool_is_told_from_text_in_brackets() {
        for text in
            ["<tool_call>{\"name\": \"ocr\"}</tool_call>", "[TOOL_CALLS] [{}]", "a <function=ocr>", "</think> b"]
        {
            let reason = tool_markup(&[text.to_owned()]).unwrap();
            assert!(reason.contains("chat template"), "{reason}");
        }
        assert_eq!(tool_markup(&["<NOM> <function> [5] <tool>".to_owned()]), None);
    }
}
