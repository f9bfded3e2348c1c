"""From checkpoints of VHM's released code (repository XL2248/VHM, commit 669bcde) to this plugin's."""
