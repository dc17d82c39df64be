//! Arithmetic and logic over names, as `meta` rules and `if` lines have it (Perl's operators and their precedence).

use std::fmt;

/// How deep parentheses may nest.
const DEPTH_MAX: usize = 100;

/// An expression. Truth is "not zero", and what is true is 1 if nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr<N> {
    /// A number.
    Number(f64),
    /// A name, whose value comes from outside.
    Name(N),
    /// `!a`.
    Not(Box<Expr<N>>),
    /// `-a`.
    Minus(Box<Expr<N>>),
    /// Operands of one precedence, from left to right: the first, then each with the operator before it.
    Chain(Box<Expr<N>>, Vec<(Operator, Expr<N>)>),
    /// `a ? b : c`.
    Choice(Box<Expr<N>>, Box<Expr<N>>, Box<Expr<N>>),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    Or,
    And,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// Octet in the text, counted from 0.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A number.
    Number(f64),
    /// A rule or class name (`A::B`).
    Name(String),
    /// `(`, `)`, `!`, `?` or `:`.
    Mark(u8),
    /// An operator between operands.
    Operator(Operator),
}

/// Cuts `text` into tokens, each with its place. Characters that no token begins with are skipped, as SpamAssassin does; what that
/// makes of the expression then decides.
///
/// # Errors
/// A number that is none, such as `1.2.3` or a signed one.
pub fn tokens(text: &[u8]) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, token) = next_token(rest).map_err(|message| ExpressionError { at, message })?;
        tokens.extend(token.map(|token| (at, token)));
        at += length.max(1);
    }
    Ok(tokens)
}

fn next_token(rest: &[u8]) -> Result<(usize, Option<Token>), String> {
    let run = |is_in: fn(u8) -> bool| rest.iter().take_while(|&&b| is_in(b)).count();
    let first = rest.first().copied().unwrap_or_default();
    let is_number_octet = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+');
    if is_number_octet(first) {
        let length = run(is_number_octet);
        let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        return match text.as_str() {
            "+" => Ok((1, Some(Token::Operator(Operator::Add)))),
            "-" => Ok((1, Some(Token::Operator(Operator::Subtract)))),
            _ if text.starts_with(|c: char| c.is_ascii_digit()) && !text.ends_with('.') => match text.parse() {
                Ok(number) => Ok((length, Some(Token::Number(number)))),
                Err(_) => Err(format!("`{text}` is no number; put spaces around operators")),
            },
            _ => Err(format!("`{text}` is no number; put spaces around operators")),
        };
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = run(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
        let name = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        return Ok((length, Some(Token::Name(name))));
    }
    let operator = |length, operator| Ok((length, Some(Token::Operator(operator))));
    match (first, rest.get(1).copied().unwrap_or_default()) {
        (b'|', b'|') => operator(2, Operator::Or),
        (b'&', b'&') => operator(2, Operator::And),
        (b'^', _) => operator(1, Operator::Xor),
        (b'>', b'=') => operator(2, Operator::GreaterOrEqual),
        (b'>', _) => operator(1, Operator::Greater),
        (b'<', b'=') => operator(2, Operator::LessOrEqual),
        (b'<', _) => operator(1, Operator::Less),
        (b'=', b'=') => operator(2, Operator::Equal),
        (b'!', b'=') => operator(2, Operator::NotEqual),
        (b'*', _) => operator(1, Operator::Multiply),
        (b'/', _) => operator(1, Operator::Divide),
        (b'(' | b')' | b'!' | b'?' | b':', _) => Ok((1, Some(Token::Mark(first)))),
        _ => Ok((1, None)),
    }
}

/// Reads tokens as one expression.
///
/// # Errors
/// Where and why they are none; the empty sequence is none.
pub fn parse(tokens: &[(usize, Token)]) -> Result<Expr<String>, ExpressionError> {
    let mut reader = Reader { tokens, next: 0, depth: 0 };
    let expression = reader.choice()?;
    match reader.peek() {
        None => Ok(expression),
        Some(_) => Err(reader.error("an operator is missing before this")),
    }
}

struct Reader<'t> {
    tokens: &'t [(usize, Token)],
    next: usize,
    depth: usize,
}

/// Operators from the loosest to the tightest, as in Perl.
const LEVELS: &[&[Operator]] = &[
    &[Operator::Or],
    &[Operator::And],
    &[Operator::Xor],
    &[Operator::Equal, Operator::NotEqual],
    &[Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual],
    &[Operator::Add, Operator::Subtract],
    &[Operator::Multiply, Operator::Divide],
];

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self, mark: u8) -> bool {
        let is_there = self.peek() == Some(&Token::Mark(mark));
        self.next += usize::from(is_there);
        is_there
    }

    fn error(&self, message: &str) -> ExpressionError {
        let at = self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at);
        ExpressionError { at, message: message.to_owned() }
    }

    fn choice(&mut self) -> Result<Expr<String>, ExpressionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("parentheses nest too deep"));
        }
        let condition = self.level(0)?;
        let expression = if self.take(b'?') {
            let yes = self.choice()?;
            if !self.take(b':') {
                return Err(self.error("`?` without `:`"));
            }
            Expr::Choice(Box::new(condition), Box::new(yes), Box::new(self.choice()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn level(&mut self, level: usize) -> Result<Expr<String>, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.operand();
        };
        let first = self.level(level + 1)?;
        let mut rest = Vec::new();
        while let Some(&Token::Operator(operator)) = self.peek() {
            if !operators.contains(&operator) {
                break;
            }
            self.next += 1;
            rest.push((operator, self.level(level + 1)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Chain(Box::new(first), rest) })
    }

    fn operand(&mut self) -> Result<Expr<String>, ExpressionError> {
        let mut prefixes = Vec::new();
        loop {
            let prefix = match self.peek() {
                Some(Token::Mark(b'!')) => b'!',
                Some(Token::Operator(Operator::Subtract)) => b'-',
                Some(Token::Operator(Operator::Add)) => b'+',
                _ => break,
            };
            prefixes.push(prefix);
            self.next += 1;
        }
        if prefixes.len() > DEPTH_MAX {
            return Err(self.error("too many signs"));
        }
        let mut expression = match self.peek().cloned() {
            Some(Token::Number(number)) => Expr::Number(number),
            Some(Token::Name(name)) => Expr::Name(name),
            Some(Token::Mark(b'(')) => {
                self.next += 1;
                let inner = self.choice()?;
                if self.peek() != Some(&Token::Mark(b')')) {
                    return Err(self.error("`)` is missing"));
                }
                inner
            }
            _ => return Err(self.error("a rule name, a number or `(` is missing")),
        };
        self.next += 1;
        for prefix in prefixes.into_iter().rev() {
            expression = match prefix {
                b'!' => Expr::Not(Box::new(expression)),
                b'-' => Expr::Minus(Box::new(expression)),
                _ => expression,
            };
        }
        Ok(expression)
    }
}

impl<N> Expr<N> {
    /// Its value, with `value_of` for the names. Names that cannot change the result any more are not asked for. A division by zero
    /// is 0.
    pub fn eval(&self, value_of: &mut impl FnMut(&N) -> f64) -> f64 {
        match self {
            Expr::Number(number) => *number,
            Expr::Name(name) => value_of(name),
            Expr::Not(inner) => truth(inner.eval(value_of) == 0.0),
            Expr::Minus(inner) => -inner.eval(value_of),
            Expr::Choice(condition, yes, no) => {
                if condition.eval(value_of) == 0.0 {
                    no.eval(value_of)
                } else {
                    yes.eval(value_of)
                }
            }
            Expr::Chain(first, rest) => {
                let mut value = first.eval(value_of);
                for (operator, operand) in rest {
                    value = match operator {
                        Operator::Or if value != 0.0 => value,
                        Operator::And if value == 0.0 => value,
                        Operator::Or | Operator::And => operand.eval(value_of),
                        _ => operator.apply(value, operand.eval(value_of)),
                    };
                }
                value
            }
        }
    }

    /// The same expression with each name replaced.
    pub fn replace<M>(&self, to: &mut impl FnMut(&N) -> Expr<M>) -> Expr<M> {
        match self {
            Expr::Number(number) => Expr::Number(*number),
            Expr::Name(name) => to(name),
            Expr::Not(inner) => Expr::Not(Box::new(inner.replace(to))),
            Expr::Minus(inner) => Expr::Minus(Box::new(inner.replace(to))),
            Expr::Choice(condition, yes, no) => {
                Expr::Choice(Box::new(condition.replace(to)), Box::new(yes.replace(to)), Box::new(no.replace(to)))
            }
            Expr::Chain(first, rest) => {
                let first = Box::new(first.replace(to));
                Expr::Chain(first, rest.iter().map(|(operator, operand)| (*operator, operand.replace(to))).collect())
            }
        }
    }

    /// The sum of `names`; 0 for none.
    pub fn sum(names: impl IntoIterator<Item = N>) -> Expr<N> {
        let mut names = names.into_iter().map(Expr::Name);
        match names.next() {
            Some(first) => Expr::Chain(Box::new(first), names.map(|name| (Operator::Add, name)).collect()),
            None => Expr::Number(0.0),
        }
    }

    /// Calls `visit` with each name, repeats included.
    pub fn names<'e>(&'e self, visit: &mut impl FnMut(&'e N)) {
        match self {
            Expr::Number(_) => {}
            Expr::Name(name) => visit(name),
            Expr::Not(inner) | Expr::Minus(inner) => inner.names(visit),
            Expr::Choice(condition, yes, no) => {
                condition.names(visit);
                yes.names(visit);
                no.names(visit);
            }
            Expr::Chain(first, rest) => {
                first.names(visit);
                rest.iter().for_each(|(_, operand)| operand.names(visit));
            }
        }
    }
}

fn truth(is_true: bool) -> f64 {
    if is_true { 1.0 } else { 0.0 }
}

impl Operator {
    /// What it makes of its two operands.
    pub(crate) fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Operator::Or => truth(left != 0.0 || right != 0.0),
            Operator::And => truth(left != 0.0 && right != 0.0),
            Operator::Xor => xor(left, right),
            Operator::Equal => truth(left == right),
            Operator::NotEqual => truth(left != right),
            Operator::Less => truth(left < right),
            Operator::LessOrEqual => truth(left <= right),
            Operator::Greater => truth(left > right),
            Operator::GreaterOrEqual => truth(left >= right),
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide if right == 0.0 => 0.0,
            Operator::Divide => left / right,
        }
    }
}

/// Perl's `^` works on the bits of unsigned integers.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn xor(left: f64, right: f64) -> f64 {
    // A cast from float saturates; counts of hits are small.
    ((left as u64) ^ (right as u64)) as f64
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, String> {
        let tokens = tokens(text.as_bytes()).map_err(|error| error.message)?;
        let expression = parse(&tokens).map_err(|error| error.message)?;
        Ok(expression.eval(&mut |name| match name.as_str() {
            "A" => 1.0,
            "B" => 3.0,
            _ => 0.0,
        }))
    }

    #[test]
    fn values_are_those_of_perl() {
        for (text, expected) in [
            ("A && B", 3.0),
            ("Z || B", 3.0),
            ("!A", 0.0),
            ("!Z && !Y", 1.0),
            ("A + B > 3", 1.0),
            ("(A + B + Z) >= 5", 0.0),
            ("2 * B - A", 5.0),
            ("A ^ A", 0.0),
            ("A == Z", 0.0),
            ("Z != A && B", 3.0),
            ("Z ? 4 : B ? 5 : 6", 5.0),
            ("B / Z", 0.0),
            ("- A + B", 2.0),
            ("A || B && Z", 1.0),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_perl_would_refuse_is_refused() {
        // A single `&` is no token, so two names follow each other; a sign that touches its number is no token either.
        for text in ["", "()", "A & B", "A B", "(A", "A)", "A-1", "!", "1.2.3", "A ? B"] {
            assert!(value(text).is_err(), "{text}");
        }
        assert!(value(&"(".repeat(100_000)).is_err());
        assert!(value(&format!("{}A", "! ".repeat(100_000))).is_err());
    }
}
