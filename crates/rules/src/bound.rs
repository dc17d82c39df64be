//! What is known of an expression's value while some of its names are not: between which numbers it lies, whether it can be zero, and
//! which name had best be found out next.

use crate::language::expression::{Expr, Operator};
use crate::rule::RuleId;

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// It is not zero, whatever it is.
    pub(crate) is_true: bool,
    /// Of the names on which it still depends, the one that is cheapest to find out, with its cost. There is none when the value is known.
    pub(crate) open: Option<(u8, RuleId)>,
}

impl Bound {
    pub(crate) fn known(value: f64) -> Bound {
        Bound { low: value, high: value, is_true: value != 0.0, open: None }
    }

    /// Not below zero and not above `high`.
    pub(crate) fn unknown(high: f64, cost: u8, id: RuleId) -> Bound {
        Bound { low: 0.0, high, is_true: false, open: Some((cost, id)) }
    }

    /// Whether there is nothing left to be found out.
    pub(crate) fn is_known(&self) -> bool {
        self.low == self.high
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.low == 0.0 && self.high == 0.0
    }

    /// Any number.
    fn any(open: Option<(u8, RuleId)>) -> Bound {
        Bound { low: f64::NEG_INFINITY, high: f64::INFINITY, is_true: false, open }
    }

    fn between(low: f64, high: f64, is_true: bool, open: Option<(u8, RuleId)>) -> Bound {
        if low.is_nan() || high.is_nan() {
            return Bound::any(open);
        }
        let is_known = low == high;
        Bound { low, high, is_true: is_true || low > 0.0 || high < 0.0, open: if is_known { None } else { open } }
    }

    fn truth(is_true: Option<bool>, open: Option<(u8, RuleId)>) -> Bound {
        match is_true {
            Some(is_true) => Bound::known(if is_true { 1.0 } else { 0.0 }),
            None => Bound { low: 0.0, high: 1.0, is_true: false, open },
        }
    }

    /// The value of a rule whose expression has this one: what is below zero counts as one hit.
    pub(crate) fn as_of_rule(self) -> Bound {
        if self.is_known() {
            return Bound::known(if self.low < 0.0 { 1.0 } else { self.low });
        }
        let high = if self.low < 0.0 { self.high.max(1.0) } else { self.high };
        Bound { low: self.low.max(0.0), high, ..self }
    }

    /// Either of the two.
    fn either(self, other: Bound) -> Bound {
        let open = cheaper(self.open, other.open);
        Bound::between(self.low.min(other.low), self.high.max(other.high), self.is_true && other.is_true, open)
    }
}

fn cheaper(first: Option<(u8, RuleId)>, second: Option<(u8, RuleId)>) -> Option<(u8, RuleId)> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if second.0 < first.0 { second } else { first }),
        (first, second) => first.or(second),
    }
}

/// What is known of `expression`, with `of` for its names. What cannot change the value any more is left out.
pub(crate) fn of_expression(expression: &Expr<RuleId>, of: &mut impl FnMut(RuleId) -> Bound) -> Bound {
    match expression {
        Expr::Number(number) => Bound::known(*number),
        Expr::Name(id) => of(*id),
        Expr::Not(inner) => {
            let inner = of_expression(inner, of);
            let is_false = if inner.is_zero() { Some(false) } else { inner.is_true.then_some(true) };
            Bound::truth(is_false.map(|is_true| !is_true), inner.open)
        }
        Expr::Minus(inner) => {
            let inner = of_expression(inner, of);
            Bound::between(-inner.high, -inner.low, inner.is_true, inner.open)
        }
        Expr::Choice(condition, yes, no) => {
            let condition = of_expression(condition, of);
            if condition.is_zero() {
                of_expression(no, of)
            } else if condition.is_true {
                of_expression(yes, of)
            } else {
                let either = of_expression(yes, of).either(of_expression(no, of));
                // Two branches of one known value need no condition.
                Bound { open: if either.is_known() { None } else { condition.open.or(either.open) }, ..either }
            }
        }
        Expr::Chain(first, rest) => {
            let mut value = match &**first {
                Expr::Name(id) => of(*id),
                first => of_expression(first, of),
            };
            for (operator, operand) in rest {
                value = match operator {
                    Operator::And if value.is_zero() => value,
                    Operator::Or if value.is_true => value,
                    _ => {
                        let operand = match operand {
                            Expr::Name(id) => of(*id),
                            operand => of_expression(operand, of),
                        };
                        join(*operator, value, operand)
                    }
                };
            }
            value
        }
    }
}

#[inline]
fn join(operator: Operator, left: Bound, right: Bound) -> Bound {
    if left.is_known() && right.is_known() && !matches!(operator, Operator::And | Operator::Or) {
        return match operator.apply(left.low, right.low) {
            value if value.is_nan() => Bound::any(None),
            value => Bound::known(value),
        };
    }
    let open = cheaper(left.open, right.open);
    match operator {
        // Perl's `&&` and `||` give the operand that decided.
        Operator::And if left.is_true => right,
        Operator::And => {
            let both = left.is_true && right.is_true;
            Bound::between(right.low.min(0.0), right.high.max(0.0), both, open)
        }
        Operator::Or if left.is_zero() => right,
        Operator::Or => Bound::between(left.low.min(right.low), left.high.max(right.high), right.is_true, open),
        Operator::Add => Bound::between(left.low + right.low, left.high + right.high, false, open),
        Operator::Subtract => Bound::between(left.low - right.high, left.high - right.low, false, open),
        Operator::Multiply if left.is_zero() || right.is_zero() => Bound::known(0.0),
        Operator::Greater => Bound::truth(is_greater(left, right), open),
        Operator::LessOrEqual => Bound::truth(is_greater(left, right).map(|is_true| !is_true), open),
        Operator::Less => Bound::truth(is_greater(right, left), open),
        Operator::GreaterOrEqual => Bound::truth(is_greater(right, left).map(|is_true| !is_true), open),
        Operator::Equal => Bound::truth(are_apart(left, right).then_some(false), open),
        Operator::NotEqual => Bound::truth(are_apart(left, right).then_some(true), open),
        Operator::Multiply | Operator::Divide | Operator::Xor => Bound::any(open),
    }
}

fn is_greater(left: Bound, right: Bound) -> Option<bool> {
    if left.low > right.high {
        Some(true)
    } else if left.high <= right.low {
        Some(false)
    } else {
        None
    }
}

fn are_apart(left: Bound, right: Bound) -> bool {
    left.low > right.high || left.high < right.low
}
