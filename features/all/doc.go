// Package all lists the features of this build in the order of their stages.
package all
