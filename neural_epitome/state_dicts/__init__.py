"""Weights that torchvision or timm saved: files read without torch, names, shapes."""
