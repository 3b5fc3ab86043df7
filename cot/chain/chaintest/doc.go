// Package chaintest makes chains of trust for tests: tasks, artifacts and
// certificates as workers of either profile would have signed them, with
// throw-away keys, and a policy that trusts them.
//
//	w := chaintest.New(t, chain.Ed25519) // a signing task, its build, image and decision task
//	w.Publish()                          // the decision task publishes its graph
//	w.Sign()                             // the workers sign certificates
//	report := chain.Verify(t.Context(), w.Request(t.TempDir()))
//
// Before each of the steps, and after the last, a test changes what it is about.
package chaintest
