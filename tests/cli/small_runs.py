"""Options of the command line for runs of small models on folders of images."""

TINY = (
    "--config hardware/cpu --trainer.logger=false --trainer.enable_model_summary=false --data.batch_size=4 "
    "--data.number_of_workers=0 --SampleGrid.columns=2 --SampleGrid.rows=2 --SlicedWasserstein.fake_count=8 "
    "--SlicedWasserstein.patches_per_image=4 --trainer.max_steps=4"
)
STYLEGAN2 = (
    "--config stylegan2.yaml --model.latent_dim=8 --model.style_dim=8 --model.channel_base=64 --model.channel_max=8 "
    "--model.discriminator_mapping_layers=0"
)
R3GAN = "--config r3gan.yaml --model.latent_dim=8 --model.widest=8 --model.group_width=4"
