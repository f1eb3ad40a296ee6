# The original proof of concept's commands: a kind cluster with everything in it. Needs docker, kind, kubectl and flux.
# Without them: ./run (the server alone) and ./run cluster (a control plane on loopback).
.PHONY: setup port-forward demo teardown

setup:
	deploy/setup

port-forward:
	kubectl --context kind-gitops-squared -n gitops-squared port-forward service/api 8080:8080

demo:
	deploy/demo

teardown:
	kind delete cluster --name gitops-squared
