package document

import "strings"

// Nearest returns the known name that was probably meant: the one that differs
// from name only by case, else the first with the smallest number of typing
// errors (a letter added, left out, replaced, or swapped with the next), if
// these are few for its length. It returns "" if there is none.
func Nearest(name string, known []string) string {
	const longest = 100 // what is longer is no typing error
	if len(name) > longest {
		return ""
	}
	best, least := "", max(1, len(name)/3)+1
	for _, candidate := range known {
		if len(candidate) > longest {
			continue
		}
		errors := distance(strings.ToLower(name), strings.ToLower(candidate))
		if errors < least && errors < len(candidate) {
			best, least = candidate, errors
		}
	}
	return best
}

// distance counts the typing errors between two words.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, previous := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range s {
		current := make([]int, len(t)+1)
		current[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			current[j+1] = min(current[j]+1, previous[j+1]+1, previous[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				current[j+1] = min(current[j+1], before[j-1]+1)
			}
		}
		before, previous = previous, current
	}
	return previous[len(t)]
}
