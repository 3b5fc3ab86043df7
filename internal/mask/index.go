package mask

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"
)

const (
	// longest is the length of the longest needle. Longer forms are looked for
	// in pieces, so that no more than this is ever withheld or compared.
	longest = 128
	// block is the number of bytes by which the search decides how far to go.
	block = 4
	// hashBits is the size of the table of blocks.
	hashBits = 16
	// crowded is how many blocks the table may have before the search gets
	// slower by finding them in text where they only have the same hash.
	crowded = 1 << (hashBits - 3)
)

// index finds needles, which have at least MinLength and at most longest bytes.
// The search looks at the last block of a window: most blocks occur in no
// needle's beginning and let it skip the window (Wu and Manber, 1994). An index
// does not change.
type index struct {
	needles []string // sorted, no two equal
	size    int      // of all needles
	window  int      // at most the length of the shortest needle
	stride  int      // how far the window can move if its last block is unknown
	// skip is how far the window can move when a block is at its end; 0 means
	// that a needle may begin here.
	skip [1 << hashBits]uint8
	// short has a bit for each beginning of a needle that is shorter than a
	// block: with a block's hash, so that a bit that is not set means none.
	short [1 << (hashBits - 3)]uint8
	// slots is a hash table from the first MinLength bytes of needles to the
	// first needle that has them, open addressing, at most half full.
	slots []slot
	shift int // 64 - log2 of len(slots)
}

type slot struct {
	head  uint64
	first int32 // index of the needle + 1; 0 is a free slot
}

func newIndex(needles []string) *index {
	slices.Sort(needles)
	x := &index{needles: slices.Clip(slices.Compact(needles)), shift: 64 - 4}
	x.size = total(x.needles)
	for 1<<(64-x.shift) < 2*len(x.needles) {
		x.shift--
	}
	x.slots = make([]slot, 1<<(64-x.shift))
	x.window = longest
	for _, n := range x.needles {
		x.window = min(x.window, len(n))
	}
	x.window = max(MinLength, min(x.window, crowded/len(x.needles)))
	x.stride = x.window - block + 1
	for i := range x.skip {
		x.skip[i] = uint8(x.stride)
	}
	for i, n := range x.needles {
		for at := range x.stride {
			h := blockHash([]byte(n[at : at+block]))
			x.skip[h] = min(x.skip[h], uint8(x.stride-1-at))
		}
		for length := 1; length < block; length++ {
			h := shortHash([]byte(n[:length]))
			x.short[h>>3] |= 1 << (h & 7)
		}
		head := binary.LittleEndian.Uint64([]byte(n[:MinLength]))
		if s := x.slot(head); s.first == 0 {
			*s = slot{head: head, first: int32(i + 1)}
		}
	}
	return x
}

// contents returns a copy of the needles, and their size.
func (x *index) contents() ([]string, int) {
	if x == nil {
		return nil, 0
	}
	return slices.Clone(x.needles), x.size
}

func blockHash(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 0x9E3779B1 >> (32 - hashBits)
}

// shortHash is that of a text which is shorter than a block.
func shortHash(text []byte) uint32 {
	b := [block]byte{block - 1: byte(len(text))}
	copy(b[:block-1], text)
	return blockHash(b[:])
}

// slot returns the slot of a needle's beginning, or the free one for it.
func (x *index) slot(head uint64) *slot {
	for i := head * 0x9E3779B97F4A7C15 >> x.shift; ; i = (i + 1) & uint64(len(x.slots)-1) {
		if s := &x.slots[i]; s.first == 0 || s.head == head {
			return s
		}
	}
}

// next returns where the first occurrence of a needle that begins at or after
// from begins and where the longest one there ends; ok is false if there is none.
func (x *index) next(text []byte, from int) (begin, end int, ok bool) {
	for last := from + x.window - block; last+block <= len(text); {
		if skip := x.skip[blockHash(text[last:last+block])]; skip > 0 {
			last += int(skip)
			continue
		}
		at := last + block - x.window
		if n := x.match(text[at:]); n > 0 {
			return at, at + n, true
		}
		last++
	}
	return 0, 0, false
}

// match returns the length of the longest needle that text begins with.
func (x *index) match(text []byte) int {
	length := 0
	for _, n := range x.headed(text) {
		if len(n) > length && len(n) <= len(text) && string(text[:len(n)]) == n {
			length = len(n)
		}
	}
	return length
}

// headed returns the needles that share the first MinLength bytes of text.
func (x *index) headed(text []byte) []string {
	s := x.slot(binary.LittleEndian.Uint64(text))
	if s.first == 0 {
		return nil
	}
	first := int(s.first - 1)
	end := first + 1
	for end < len(x.needles) && x.needles[end][:MinLength] == string(text[:MinLength]) {
		end++
	}
	return x.needles[first:end]
}

// undecided returns where the longest end of text begins that is the beginning
// of a needle, or len(text). Everything before is decided.
func (x *index) undecided(text []byte) int {
	at := max(0, len(text)-longest+1)
	// A window can move here as it does in next: what it skips cannot be the
	// beginning of a needle, be it longer than the rest of the text or not.
	for at+x.window <= len(text) {
		last := at + x.window - block
		if skip := x.skip[blockHash(text[last:last+block])]; skip > 0 {
			at += int(skip)
			continue
		}
		if x.begins(text[at:]) {
			return at
		}
		at++
	}
	for ; at < len(text); at++ {
		if x.begins(text[at:]) {
			return at
		}
	}
	return len(text)
}

// begins tells whether text is the beginning of a longer needle.
func (x *index) begins(text []byte) bool {
	if len(text) < block {
		if h := shortHash(text); x.short[h>>3]&(1<<(h&7)) == 0 {
			return false
		}
	} else if x.skip[blockHash(text)] == uint8(x.stride) {
		return false
	}
	if len(text) >= MinLength && x.slot(binary.LittleEndian.Uint64(text)).first == 0 {
		return false
	}
	i := sort.Search(len(x.needles), func(i int) bool { return x.needles[i] > string(text) })
	return i < len(x.needles) && strings.HasPrefix(x.needles[i], string(text))
}
