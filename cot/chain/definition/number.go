package definition

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// equalNumbers compares by value, exactly and without making a number as long
// as its exponent says.
func equalNumbers(a, b json.Number) bool {
	digitsA, exponentA := canonical(a)
	digitsB, exponentB := canonical(b)
	return a == b || digitsA == digitsB && exponentA == exponentB
}

// canonical returns the digits of a number, with the sign and without zeros at
// either end, and the power of ten of its last digit. Zero has no digits. An
// exponent too large to count with is like no other.
func canonical(n json.Number) (digits string, exponent int64) {
	text, power, _ := strings.Cut(strings.ToLower(string(n)), "e")
	if power != "" {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 32); err != nil {
			return string(n), math.MaxInt64
		}
	}
	sign := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = "-", rest
	}
	whole, fraction, _ := strings.Cut(text, ".")
	exponent -= int64(len(fraction))
	digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return "", 0
	}
	return sign + trimmed, exponent + int64(len(digits)-len(trimmed))
}
