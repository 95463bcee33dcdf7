package main

func (c Comparison) chart() string { return "" }
