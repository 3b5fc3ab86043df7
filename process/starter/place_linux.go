package starter

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

const score = "/proc/self/oom_score_adj"

// Place is where this process stands among those to kill for want of memory.
// Children begin there, and may have children of their own before anybody can
// tell them where to stand; so this process stands there itself meanwhile.
type Place struct {
	own string

	mu    sync.Mutex
	lent  int  // starts under way that need another
	moved bool // ever
}

// Own returns this process's place.
func Own() *Place {
	text, _ := os.ReadFile(score)
	return &Place{own: strings.TrimSpace(string(text))}
}

// Lend stands where the child is to until the child is there. Others that are
// started meanwhile begin there, too.
func (p *Place) Lend(child int) (giveBack func()) {
	if child == 0 && !strings.HasPrefix(p.own, "-") || p.own == "" {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent++
	p.moved = true
	_ = os.WriteFile(score, []byte(strconv.Itoa(child)), 0)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.lent--; p.lent == 0 {
			_ = os.WriteFile(score, []byte(p.own), 0)
		}
	}
}

// Put tells a child where to stand, if it may stand elsewhere.
func (p *Place) Put(pid, child int) {
	p.mu.Lock()
	moved := p.moved
	p.mu.Unlock()
	if moved {
		_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(child)), 0)
	}
}
