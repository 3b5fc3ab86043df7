package policy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain"
)

// check notes tables that contradict each other: what they say could never
// come true, and the author surely meant something else.
func (r *reader) check(p *chain.Policy) {
	r.checkTypes(p)
	r.checkScopes(p)
	for name, keys := range r.file.Keys {
		r.checkKeys(p, name, keys)
	}
	for i, rule := range r.file.VCS {
		for j, host := range rule.Hosts {
			if host != strings.ToLower(host) {
				r.complain("has upper-case letters, and hosts are compared in lower case", "write "+strings.ToLower(host), "vcs", strconv.Itoa(i), "hosts", strconv.Itoa(j))
			}
		}
	}
}

func (r *reader) checkTypes(p *chain.Policy) {
	known := func(name string) bool { return p.TaskTypes[name] != "" || name == "decision" || name == "action" }
	for name := range p.ImageAllowlist {
		if !known(name) {
			r.complain("is no type of task", "add it to /taskTypes, or write one that is there", "imageAllowlist", name)
		}
	}
	for i, name := range p.PrebuiltTypes {
		if name != "any" && !known(name) {
			r.complain("is no type of task", "add it to /taskTypes, or write one that is there, or any", "prebuiltTypes", strconv.Itoa(i))
		}
	}
	if !slices.Contains(slices.Collect(maps.Values(p.TaskTypes)), chain.KindParent) {
		r.complain("has no type that is parent, so that no chain has a beginning", "add decision: parent", "taskTypes")
	}
	parent := "decision"
	if p.Profile == chain.Ed25519 {
		parent = "parent"
	}
	if _, given := p.TaskTypes[parent]; !given {
		r.complain(fmt.Sprintf("does not have %s, as which the task that made another one is verified", parent), "add "+parent+": parent", "taskTypes")
	}
}

func (r *reader) checkScopes(p *chain.Policy) {
	for scope, level := range p.RestrictedScopes {
		if _, there := p.RestrictedTrees[level]; !there {
			r.complain(fmt.Sprintf("is restricted to %s, which /restrictedTrees does not have", level), "add it, with an empty list if no tree may have the scope", "restrictedScopes", scope)
		}
		if star := strings.Index(scope, "*"); p.Profile == chain.GPG && star >= 0 || star >= 0 && star < len(scope)-1 {
			r.complain("has a * that stands for itself", "with profile ed25519 a * at the end stands for anything; list the scopes otherwise", "restrictedScopes", scope)
		}
	}
}

func (r *reader) checkKeys(p *chain.Policy, name string, k keys) {
	named := slices.ContainsFunc(p.ImplRules, func(rule chain.ImplRule) bool { return rule.Implementation == name || rule.Tag })
	if !named {
		r.complain("is an implementation that nothing shows", "add it to /implementations", "keys", name)
	}
	for i, e := range k.Ed25519 {
		at := []string{"keys", name, "ed25519", strconv.Itoa(i)}
		if !e.NotAfter.IsZero() && e.NotAfter.Before(e.NotBefore) {
			r.complain("is before notBefore", "exchange them", append(at, "notAfter")...)
		}
		for j, pool := range e.Pools {
			if _, err := path.Match(pool, ""); err != nil || strings.Count(pool, "/") != 1 {
				r.complain("is no pool", "write provisionerId/workerType, in which * stands for anything", append(at, "pools", strconv.Itoa(j))...)
			}
		}
	}
	own := map[chain.Profile]bool{chain.Ed25519: len(k.Ed25519) > 0, chain.GPG: len(k.OpenPGP) > 0 || r.file.KeyState != ""}
	if !own[p.Profile] {
		r.complain(fmt.Sprintf("has no key of profile %s, so that no certificate can be verified", p.Profile),
			"write "+map[chain.Profile]string{chain.Ed25519: "ed25519", chain.GPG: "openpgp"}[p.Profile]+", or leave the implementation out", "keys", name)
	}
}
