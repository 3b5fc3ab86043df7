// Package chain has the commands about chains of trust: verify-cot, and bundle
// create for those who want to verify later, or elsewhere.
package chain
