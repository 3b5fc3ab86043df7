package mask

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pieces cuts forms into needles. Pieces of a long form overlap rather than
// begin with a space: almost every write ends with one, which would be withheld.
func pieces(forms []string) []string {
	seen := map[string]bool{}
	var needles []string
	add := func(n string) {
		if len(n) >= MinLength && !seen[n] {
			seen[n] = true
			needles = append(needles, n)
		}
	}
	for _, form := range unique(forms) {
		for len(form) > longest {
			add(form[:longest])
			next := longest
			for next > longest/2 && isSpace(form[next]) {
				next--
			}
			// The last piece is no shorter than the others.
			form = form[min(next, len(form)-longest):]
		}
		add(form)
	}
	return needles
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// unique returns texts without those that are there already.
func unique(texts []string) []string {
	seen := make(map[string]bool, len(texts))
	return slices.DeleteFunc(texts, func(text string) bool {
		there := seen[text]
		seen[text] = true
		return there
	})
}

// plain returns a secret as it is, with either kind of line ends, and each of
// its lines, before which logs like to put something.
func plain(secret string) []string { return append(whole(secret), lines(secret)...) }

func whole(secret string) []string {
	unix := strings.ReplaceAll(secret, "\r\n", "\n")
	return unique([]string{secret, unix, strings.ReplaceAll(unix, "\n", "\r\n")})
}

func lines(text string) []string {
	if !strings.Contains(text, "\n") {
		return nil
	}
	var all []string
	for line := range strings.SplitSeq(text, "\n") {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// forms returns everything that a secret is looked for as.
func forms(secret string) []string {
	all := plain(secret)
	for _, text := range all {
		all = append(all, escapes(text)...)
	}
	for _, text := range whole(secret) {
		lower := hex.EncodeToString([]byte(text))
		all = append(all, lower, strings.ToUpper(lower))
		all = append(all, base64Forms(text)...)
		all = append(all, urlForms(text)...)
	}
	return all
}

// base64Forms returns the secret encoded in both alphabets, as it looks at each
// of three places between other bytes: without the characters that depend on
// those. As the beginning of what is encoded, it is also cut into lines, of the
// lengths that base64, mail and PEM files have.
func base64Forms(secret string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before, unknown := range []int{0, 2, 3} {
			text := encoding.EncodeToString([]byte("\x00\x00"[:before] + secret))
			all = append(all, text[unknown:(before+len(secret))*8/6])
		}
	}
	whole := base64.RawStdEncoding.EncodeToString([]byte(secret))
	whole = whole[:len(secret)*8/6]
	for _, width := range []int{64, 76} {
		for rest := whole; len(whole) > width && rest != ""; {
			n := min(width, len(rest))
			all = append(all, rest[:n])
			rest = rest[n:]
		}
	}
	return all
}

// urlForms returns the secret percent-encoded. Encoders differ in what they
// leave as it is.
func urlForms(secret string) []string {
	const unreserved = "-_.~"
	var all []string
	for _, digits := range []string{"0123456789ABCDEF", "0123456789abcdef"} {
		for _, kept := range []string{
			unreserved,                      // queries, most path segments
			unreserved + "!'()*",            // encodeURIComponent
			unreserved + "$&+=:@",           // path segments in Go
			unreserved + "/",                // Python
			unreserved + "$&+=:@/!'()*,;",   // whole paths
			unreserved + "$&+=:@/!'()*,;?#", // encodeURI
			"-_.*",                          // forms
		} {
			text := percentEncoded(secret, kept, digits)
			all = append(all, text, strings.ReplaceAll(text, "%20", "+"))
		}
	}
	return all
}

func percentEncoded(text, kept, digits string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if isAlphanumeric(c) || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// escapes returns the text as it stands between quotes of various languages,
// without the quotes.
func escapes(text string) []string {
	all := []string{
		strings.ReplaceAll(text, `'`, `'\''`),
		strings.ReplaceAll(text, `'`, `'"'"'`),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(text),
		strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text),
		strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `'`, `\'`).Replace(text),
		backslashed(text),
		inner(strconv.Quote(text)),
		inner(strconv.QuoteToASCII(text)),
	}
	if !utf8.ValidString(text) {
		return all
	}
	for _, style := range []jsonStyle{
		{},                                     // JavaScript
		{html: true},                           // Go
		{ascii: true},                          // Python
		{slash: true},                          // PHP, some
		{slash: true, ascii: true},             // PHP
		{html: true, ascii: true},              // Ruby on Rails
		{ascii: true, upper: true},             // Java
		{html: true, ascii: true, upper: true}, // .NET
		{slash: true, ascii: true, upper: true},
	} {
		all = append(all, style.escaped(text))
	}
	return all
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// backslashed is what %q of a shell's printf gives.
func backslashed(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(" \t!\"$&'()*,;<>?[\\]^`{|}", text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// jsonStyle is what an encoder of JSON escapes beyond what it must.
type jsonStyle struct {
	html  bool // <, >, & and the line separators of Unicode
	slash bool // / as \/
	ascii bool // whatever is not ASCII
	upper bool // digits
}

func (s jsonStyle) escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '"' || r == '\\' || r == '/' && s.slash:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= '\b' && r <= '\r' && r != '\v':
			b.WriteByte('\\')
			b.WriteByte("btn.fr"[r-'\b'])
		case r < ' ', s.html && strings.ContainsRune("<>&\u2028\u2029", r), s.ascii && r > '~':
			s.unicode(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (s jsonStyle) unicode(b *strings.Builder, r rune) {
	format := `\u%04x`
	if s.upper {
		format = `\u%04X`
	}
	if r <= 0xffff {
		fmt.Fprintf(b, format, r)
		return
	}
	high, low := utf16.EncodeRune(r)
	fmt.Fprintf(b, format+format, high, low)
}
