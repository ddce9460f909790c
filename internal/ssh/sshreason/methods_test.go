package sshreason

import "testing"

func TestOurKeys(t *testing.T) {
	if one, some := OurKeys(1), OurKeys(3); one != "our key" || some != "any of our 3 keys" {
		t.Errorf("%q, %q", one, some)
	}
}
