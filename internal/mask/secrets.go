package mask

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Mark stands in the output for each stretch of secrets.
const Mark = "[redacted]"

// MinLength is the number of bytes, without spaces around them, from which on
// a secret is masked. Shorter ones would take ordinary words with them.
const MinLength = 8

// capacity bounds the memory for all forms of all secrets.
const capacity = 8 << 20

// Secrets is what is to be masked. The zero value is empty. Methods may be
// called concurrently, also while a Writer uses it.
type Secrets struct {
	mu    sync.Mutex // of Add
	index atomic.Pointer[index]
}

// Add masks more secrets from now on. It returns those that cannot be masked,
// because they are shorter than MinLength or the forms of all secrets would
// take more than 8 MiB. If only some forms of a secret have room, it is masked
// as it is and line by line.
func (s *Secrets) Add(secrets ...string) (unmasked []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.index.Load()
	needles, size := before.contents()
	added := false
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if secret == "" {
			continue
		}
		fresh := fitting(secret, capacity-size)
		if len(fresh) == 0 {
			unmasked = append(unmasked, secret)
			continue
		}
		needles = append(needles, fresh...)
		size += total(fresh)
		added = true
	}
	if added {
		s.index.Store(newIndex(needles))
	}
	return unmasked
}

// fitting returns the needles of as many forms of a secret as there is room for.
func fitting(secret string, room int) []string {
	if len(secret) < MinLength || len(secret) > room {
		return nil
	}
	if len(secret) <= room/encodedLength {
		if needles := pieces(forms(secret)); total(needles) <= room {
			return needles
		}
	}
	if needles := pieces(plain(secret)); total(needles) <= room {
		return needles
	}
	return nil
}

// encodedLength is how many times as long as a secret its hexadecimal and base64
// forms alone can be.
const encodedLength = 12

// needleCost is what a needle takes beside its bytes.
const needleCost = 32

func total(needles []string) int {
	sum := 0
	for _, n := range needles {
		sum += len(n) + needleCost
	}
	return sum
}

// Mask returns text with all secrets masked.
func (s *Secrets) Mask(text string) string {
	if s.index.Load() == nil {
		return text
	}
	var masked strings.Builder
	w := NewWriter(s, &masked)
	_, _ = w.Write([]byte(text)) // a strings.Builder takes everything
	_ = w.Cut()
	return masked.String()
}
