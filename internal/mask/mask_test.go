package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func secretsOf(t testing.TB, values ...string) *Secrets {
	t.Helper()
	var s Secrets
	if unmasked := s.Add(values...); len(unmasked) > 0 {
		t.Fatalf("not masked: %q", unmasked)
	}
	return &s
}

// TestS4EveryForm masks what various programs print of secrets.
func TestS4EveryForm(t *testing.T) {
	t.Parallel()
	const odd = "p@ss \"w/ö\\rd'$x 😀<&>\tend"
	const key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\nend\n-----END KEY-----\n"
	for _, test := range []struct{ form, secret, text, want string }{
		{"raw", odd, "a" + odd + "b", "a[redacted]b"},
		{"with a line end", odd + "\n", "a " + odd + " b", "a [redacted] b"},
		{"JSON of Go", odd, `{"k":"` + jsonOf(t, odd) + `"}`, `{"k":"[redacted]"}`},
		{"JSON of JavaScript", odd, `"p@ss \"w/ö\\rd'$x 😀<&>\tend"`, `"[redacted]"`},
		{"JSON of Python", odd, `"p@ss \"w/\u00f6\\rd'$x \ud83d\ude00<&>\tend"`, `"[redacted]"`},
		{"JSON of PHP", odd, `"p@ss \"w\/\u00f6\\rd'$x \ud83d\ude00<&>\tend"`, `"[redacted]"`},
		{"JSON, upper case", odd, `"p@ss \"w/\u00F6\\rd'$x \uD83D\uDE00<&>\tend"`, `"[redacted]"`},
		{"JSON with control characters", "a\x01b\x02c\bd\fe", `a\u0001b\u0002c\bd\fe`, "[redacted]"},
		{"URL query", odd, "?q=p%40ss+%22w%2F%C3%B6%5Crd%27%24x+%F0%9F%98%80%3C%26%3E%09end&", "?q=[redacted]&"},
		{"URL query, lower case", odd, "?q=p%40ss+%22w%2f%c3%b6%5crd%27%24x+%f0%9f%98%80%3c%26%3e%09end&", "?q=[redacted]&"},
		{"URL query of Go", odd, url.QueryEscape(odd), "[redacted]"},
		{"URL path of Go", odd, "/" + url.PathEscape(odd) + "/", "/[redacted]/"},
		{"URL path of Python", odd, "p%40ss%20%22w/%C3%B6%5Crd%27%24x%20%F0%9F%98%80%3C%26%3E%09end", "[redacted]"},
		{"encodeURIComponent", odd, "p%40ss%20%22w%2F%C3%B6%5Crd'%24x%20%F0%9F%98%80%3C%26%3E%09end", "[redacted]"},
		{"encodeURI", odd, "p@ss%20%22w/%C3%B6%5Crd'$x%20%F0%9F%98%80%3C&%3E%09end", "[redacted]"},
		{"hex", odd, hex.EncodeToString([]byte("x" + odd + "y")), "78[redacted]79"},
		{"hex, upper case", odd, strings.ToUpper(hex.EncodeToString([]byte("x" + odd + "y"))), "78[redacted]79"},
		{"Go", odd, fmt.Sprintf("%q", odd), `"[redacted]"`},
		{"Go, ASCII", odd, fmt.Sprintf("%+q", odd), `"[redacted]"`},
		{"Go, not UTF-8", "\xff\xfe secret \x00", fmt.Sprintf("%q", "\xff\xfe secret \x00"), `"[redacted]"`},
		{"shell, set -x", odd, `+ : 'p@ss "w/ö\rd'\''$x 😀<&>` + "\tend'", "+ : '[redacted]'"},
		{"shell, Python", odd, `'p@ss "w/ö\rd'"'"'$x 😀<&>` + "\tend'", "'[redacted]'"},
		{"shell, printf %q", odd, `$'p@ss "w/ö\\rd\'$x 😀<&>\tend'`, "$'[redacted]'"},
		{"shell, printf %q, printable", "a b,c#d~e=f;g|h", `a\ b\,c#d~e=f\;g\|h`, "[redacted]"},
		{"shell, declare", `p@ss "w/$x`, `declare -- x="p@ss \"w/\$x"`, `declare -- x="[redacted]"`},
		{"lines", key, "1: MIIEvQIBADANBg\n2: kqhkiG9w0BAQEF\n3: end\n", "1: [redacted]\n2: [redacted]\n3: end\n"},
		{"lines as one", key, "<" + strings.TrimSpace(key) + ">", "<[redacted]>"},
		{"lines of Windows", key, strings.ReplaceAll(key, "\n", "\r\n"), "[redacted]\r\n"},
		{"lines in JSON", key, jsonOf(t, key), `[redacted]\n`},
		{"lines in Windows JSON", key, jsonOf(t, strings.ReplaceAll(key, "\n", "\r\n")), `[redacted]\r\n`},
	} {
		if diff := cmp.Diff(test.want, secretsOf(t, test.secret).Mask(test.text)); diff != "" {
			t.Errorf("%s (-want +got): %s", test.form, diff)
		}
	}
}

func jsonOf(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted[1 : len(quoted)-1])
}

// TestBase64 encodes secrets of all lengths between other bytes. At most the
// characters at the ends, which are no secret's alone, may be left of them.
func TestBase64(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		for length := MinLength; length < 400; length += 1 + length/20 {
			secret := make([]byte, length)
			_, _ = random.Read(secret)
			secret[0], secret[length-1] = 'x', 'y' // no spaces around it
			s := secretsOf(t, string(secret))
			for before := range 4 {
				for after := range 4 {
					text := encoding.EncodeToString(slices.Concat(make([]byte, before), secret, make([]byte, after)))
					left, right, ok := strings.Cut(s.Mask(text), Mark)
					if !ok || len(left) > (before+2)*4/3 || len(strings.TrimRight(right, "=")) > (after+2)*4/3+1 {
						t.Fatalf("%d bytes between %d and %d: %q became %q", length, before, after, text, s.Mask(text))
					}
				}
			}
		}
	}
	secret := strings.Repeat("0123456789abcdefghijklm", 10)
	for _, width := range []int{64, 76} {
		var text strings.Builder
		for rest := base64.StdEncoding.EncodeToString([]byte(secret)); rest != ""; rest = rest[min(width, len(rest)):] {
			text.WriteString(rest[:min(width, len(rest))] + "\n")
		}
		for line := range strings.Lines(secretsOf(t, secret).Mask(text.String())) {
			if len(line) > MinLength+4 && (!strings.HasPrefix(line, Mark) || len(line) > len(Mark)+5) {
				t.Errorf("in lines of %d there is %q", width, line)
			}
		}
	}
}

func TestStretchesHaveOneMark(t *testing.T) {
	t.Parallel()
	s := secretsOf(t, "abcdefgh", "defghijk", "bcdefg--", "12345678", "234567890")
	for text, want := range map[string]string{
		"abcdefgh":                 "[redacted]",
		"abcdefghijk":              "[redacted]",
		"abcdefghabcdefgh":         "[redacted]",
		"abcdefgh abcdefgh":        "[redacted] [redacted]",
		"abcdefg--":                "a[redacted]",
		"1234567890":               "[redacted]",
		"1234567812345678":         "[redacted]",
		"abcdefgabcdefg":           "abcdefgabcdefg",
		"[redacted]abcdefgh":       "[redacted][redacted]",
		"abcdefghdefghijk-":        "[redacted]-",
		"x12345678x234567890x":     "x[redacted]x[redacted]x",
		"":                         "",
		"nothing to see":           "nothing to see",
		"abcdefgh\x00\xffdefghijk": "[redacted]\x00\xff[redacted]",
	} {
		if got := s.Mask(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestUnmasked(t *testing.T) {
	t.Parallel()
	var s Secrets
	if got := s.Add("1234567", "12345678", "", "  1234567\n", "öööö"); !slices.Equal(got, []string{"1234567", "1234567"}) {
		t.Errorf("Add returned %q", got)
	}
	if got := s.Mask("1234567 öööö 12345678"); got != "1234567 [redacted] [redacted]" {
		t.Errorf("Mask returned %q", got)
	}
	random := rand.NewChaCha8([32]byte{2})
	unmasked := 0
	for range 10 {
		secret := make([]byte, 768<<10)
		_, _ = random.Read(secret)
		text := base64.RawURLEncoding.EncodeToString(secret)
		if len(s.Add(text)) > 0 {
			unmasked++
		} else if got := s.Mask(text); got != Mark {
			t.Fatalf("a large secret became %d bytes", len(got))
		}
	}
	if _, size := s.index.Load().contents(); size > capacity || size < capacity/2 || unmasked == 0 || unmasked > 6 {
		t.Errorf("%d secrets are not masked, and the others take %d bytes", unmasked, size)
	}
}

// TestG2LargeSecretsAndLongLines masks a secret of 64 KiB in every form, and
// withholds nothing of a line without end.
func TestG2LargeSecretsAndLongLines(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{3})
	bytes64 := make([]byte, 48<<10)
	_, _ = random.Read(bytes64)
	secret := base64.StdEncoding.EncodeToString(bytes64)
	s := secretsOf(t, secret)
	for form, text := range map[string]string{
		"raw": secret, "JSON": strings.ReplaceAll(secret, "/", `\/`), "URL": url.QueryEscape(secret), "hex": hex.EncodeToString([]byte(secret)),
		"base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "Go": strconv.Quote(secret)[1 : len(secret)+1],
	} {
		left, right, ok := strings.Cut(s.Mask("<"+text+">"), Mark)
		if !ok || left != "<" || !strings.HasSuffix(right, ">") || len(right) > 2 {
			t.Errorf("%s became %.50q and %.50q", form, left, right)
		}
	}
	var out bytes.Buffer
	w := NewWriter(s, &out)
	for range 64 {
		_, _ = w.Write(bytes.Repeat([]byte{'~'}, 1<<20))
	}
	if out.Len() != 64<<20 || cap(w.held) > 4*pieceSize || cap(w.masked) > 4*pieceSize {
		t.Errorf("%d bytes were passed on, %d and %d are kept", out.Len(), cap(w.held), cap(w.masked))
	}
}

func TestNothingButBeginningsIsWithheld(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := NewWriter(secretsOf(t, "abcdefghij"), &out)
	for _, step := range []struct{ text, want string }{
		{"Password: ", "Password: "},
		{"abc", ""},
		{"d", ""},
		{"x", "abcdx"},
		{"abcabcdefgh", "abc"},
		{"ij", "[redacted]"},
		{"\n", "\n"},
		{"abc", ""},
	} {
		out.Reset()
		fmt.Fprint(w, step.text)
		if got := out.String(); got != step.want {
			t.Errorf("after %q came %q, want %q", step.text, got, step.want)
		}
	}
	for _, step := range []struct{ text, want string }{
		{"", "abc"}, {"abcdefg", "abcdefg"}, {"-abcdefgh", "-[redacted]"}, {"abcdefghij", "[redacted]"}, {"abcdefghijabcdefgh", "[redacted]"},
	} {
		out.Reset()
		fmt.Fprint(w, step.text)
		if err := w.Cut(); err != nil || !strings.HasSuffix(out.String(), step.want) {
			t.Errorf("%q cut is %q, %v; want %q", step.text, out.String(), err, step.want)
		}
	}
	out.Reset()
	fmt.Fprint(w, "defghij") // nothing is left of what was before the cut
	if got := out.String(); got != "defghij" {
		t.Errorf("after a cut came %q", got)
	}
}

var errTest = errors.New("no more")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errTest }

func TestErrorsOfTheWriter(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "a secret"} {
		w := NewWriter(secretsOf(t, secret), broken{})
		if _, err := w.Write([]byte("text a secret text a secr")); !errors.Is(err, errTest) {
			t.Errorf("Write returned %v", err)
		}
		if err := w.Cut(); secret != "" && !errors.Is(err, errTest) {
			t.Errorf("Cut returned %v", err)
		}
	}
}

func TestSecretsAreAddedMeanwhile(t *testing.T) {
	t.Parallel()
	var s Secrets
	var out bytes.Buffer
	w := NewWriter(&s, &out)
	var adders sync.WaitGroup
	for i := range 4 {
		adders.Go(func() {
			for j := range 20 {
				s.Add(fmt.Sprintf("secret %d of %d!", j, i))
			}
		})
	}
	written := 0
	for i := range 1000 {
		n, _ := fmt.Fprintf(w, "line %d\n", i)
		written += n
	}
	adders.Wait()
	_ = w.Cut()
	if out.Len() != written {
		t.Errorf("%d bytes became %d", written, out.Len())
	}
	out.Reset()
	fmt.Fprint(w, "<secret 19 of 0!secret 0 of 3!>")
	if got := out.String(); got != "<[redacted]>" {
		t.Errorf("got %q", got)
	}
}

// expected masks text in the plainest way.
func expected(needles []string, text string) string {
	covered := make([]bool, len(text))
	cover := func(from, to int) {
		for i := from; i < to; i++ {
			covered[i] = true
		}
	}
	for _, n := range needles {
		for i := range text {
			if strings.HasPrefix(text[i:], n) {
				cover(i, i+len(n))
			}
			if rest := text[i:]; len(rest) >= MinLength && len(rest) < len(n) && strings.HasPrefix(n, rest) {
				cover(i, len(text)) // cut
			}
		}
	}
	var out strings.Builder
	for i := range len(text) {
		if !covered[i] {
			out.WriteByte(text[i])
		} else if i == 0 || !covered[i-1] {
			out.WriteString(Mark)
		}
	}
	return out.String()
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check masks text that is written in chunks of the given sizes, over and over.
func check(t failer, s *Secrets, text string, sizes []int) {
	t.Helper()
	var out strings.Builder
	w := NewWriter(s, &out)
	for rest, i := text, 0; rest != ""; i++ {
		n := len(rest)
		if len(sizes) > 0 {
			n = min(n, max(1, sizes[i%len(sizes)]))
		}
		fmt.Fprint(w, rest[:n])
		rest = rest[n:]
	}
	_ = w.Cut()
	var needles []string
	if x := s.index.Load(); x != nil {
		needles = x.needles
	}
	got, want := out.String(), expected(needles, text)
	if got != want {
		t.Fatalf("%q in chunks of %v became %q, want %q", text, sizes, got, want)
	}
	for _, clear := range strings.Split(got, Mark) {
		for _, n := range needles {
			if strings.Contains(clear, n) && !strings.Contains(text, Mark) {
				t.Fatalf("%q became %q, with %q in it", text, got, n)
			}
		}
	}
}

func TestAnyTextInAnyChunks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s Secrets
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab"\n]{6,20}`), 0, 4).Draw(t, "secrets")
		s.Add(secrets...)
		parts := []string{"a", "b", "aa", "\n", `\`, " "}
		if x := s.index.Load(); x != nil {
			parts = append(parts, x.needles...)
		}
		piece := rapid.Custom(func(t *rapid.T) string {
			part := rapid.SampledFrom(parts).Draw(t, "part")
			return part[:rapid.IntRange(0, len(part)).Draw(t, "length")]
		})
		text := strings.Join(rapid.SliceOfN(rapid.OneOf(piece, rapid.SampledFrom(parts)), 0, 12).Draw(t, "text"), "")
		check(t, &s, text, rapid.SliceOfN(rapid.IntRange(1, 30), 0, 5).Draw(t, "sizes"))
	})
}

// FuzzMasker has secrets, one to a line, and the text of which some are part.
func FuzzMasker(f *testing.F) {
	f.Add("correct horse\x00battery staple", "the correct horse, Y29ycmVjdCBob3JzZQ== and battery stap", uint8(3))
	f.Add("aaaaaaaa\x00aaaaaaaabaaaaaaaa", "aaaaaaabaaaaaaaaaabaaaaaaaaaab", uint8(1))
	f.Add("[redacted]", "[redacted] [redacte", uint8(2))
	f.Fuzz(func(t *testing.T, secrets, text string, size uint8) {
		if len(secrets) > 500 || len(text) > 2000 {
			t.Skip("slow to check")
		}
		var s Secrets
		s.Add(strings.Split(secrets, "\x00")...)
		check(t, &s, text, []int{int(size)})
	})
}

// BenchmarkMask masks the output of a build, with and without secrets in it.
func BenchmarkMask(b *testing.B) {
	const line = "2026-11-21T14:12:05Z INFO  compiled src/lib/thing_0042.rs in 12.5 ms (sha256 9f86d081884c7d659a2feaa0c55ad015)\n"
	random := rand.New(rand.NewChaCha8([32]byte{4}))
	var hundred []string
	for range 100 {
		secret := make([]byte, 32)
		for i := range secret {
			secret[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+=:@'\" "[random.IntN(73)]
		}
		hundred = append(hundred, "x"+string(secret)+"y")
	}
	plain := []byte(strings.Repeat(line, 300))
	secretly := slices.Concat(plain[:len(plain)/2], []byte(hundred[7]+hundred[8]+"\n"), plain[len(plain)/2:])
	for _, bench := range []struct {
		name    string
		secrets []string
		text    []byte
		chunk   int
	}{
		{"none", nil, plain, len(plain)},
		{"one", hundred[:1], plain, len(plain)},
		{"hundred", hundred, plain, len(plain)},
		{"hundred/found", hundred, secretly, len(secretly)},
		{"hundred/lines", hundred, plain, len(line)},
		{"hundred/hex", hundred, bytes.Repeat([]byte("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"), 500), 32000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var out bytes.Buffer
			w := NewWriter(secretsOf(b, bench.secrets...), &out)
			b.SetBytes(int64(len(bench.text)))
			for b.Loop() {
				out.Reset()
				for chunk := range slices.Chunk(bench.text, bench.chunk) {
					_, _ = w.Write(chunk)
				}
			}
		})
	}
}
