package expr_test

import (
	"fmt"

	"shoal/hosts/expr"
)

func ExampleExpand() {
	names, err := expr.Expand("web1,db[08-10]!db09")
	fmt.Println(names, err)
	// Output: [web1 db08 db10] <nil>
}

func ExampleFold() {
	fmt.Println(expr.Fold([]string{"node9", "node3", "node8", "node7", "r1n1", "r1n2", "r2n1", "r2n2"}))
	// Output: node[3,7-9],r[1-2]n[1-2]
}

func ExampleResolver() {
	resolver := expr.NewResolver(mapGroups{"": {
		"rack1": "node[1-20]", "rack2": "node[21-40]", "down": "node[7,33]", "*": "@rack[1-2],login",
	}})
	for _, text := range []string{"@rack[1-2]!@down", "@rack2&@down", "*!node*"} {
		e, err := resolver.Parse(text)
		fmt.Println(e.Len(), e.Set(), err)
	}
	// Output:
	// 38 node[1-6,8-32,34-40] <nil>
	// 1 node33 <nil>
	// 1 login <nil>
}

func ExampleSet() {
	asked := expr.SetOf([]string{"web1", "web2", "web3", "db1"})
	answered := expr.SetOf([]string{"web1", "web3"})
	fmt.Println(asked.Minus(answered))
	// Output: db1,web2
}
