// Package ptytest makes pseudo-terminals for tests.
package ptytest
