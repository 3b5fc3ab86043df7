package document

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

const (
	maxDigits   = 100 // characters of a number
	maxExponent = 308 // what a double-precision number can hold
)

// number returns a number of the JSON grammar in its one spelling, or false if
// it is too long or too large to be handled exactly.
func number(text string) (json.Number, bool) {
	if len(text) > maxDigits {
		return "", false
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	if scientific {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > maxExponent || e < -maxExponent {
			return "", false
		}
	}
	if !scientific && !strings.Contains(mantissa, ".") {
		if text == "-0" {
			text = "0"
		}
		return json.Number(text), true
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", false
	}
	if exact.IsInt() {
		if digits := exact.Num().String(); len(digits) <= maxDigits {
			return json.Number(digits), true
		}
	}
	return json.Number(text), true
}

// isNumber tells whether text follows JSON's grammar for numbers.
func isNumber(text string) bool {
	return text != "" && strings.IndexByte("-0123456789", text[0]) >= 0 && json.Valid([]byte(text))
}
